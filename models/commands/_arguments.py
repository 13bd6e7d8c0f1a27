"""Arguments that several commands share, and their types: a bad value is one line with the option's name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_run(parser: argparse.ArgumentParser, what: str) -> None:
    """A trained run, and where to compute."""
    parser.add_argument("path", metavar="RUN", type=Path, help=what)
    add_device(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where to compute."""
    parser.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda", "mps"), help="default: cpu")
    parser.add_argument("--threads", type=whole(1), default=1, metavar="N", help="threads on the CPU (default: 1)")


def add_decoding(parser: argparse.ArgumentParser, max_new: int) -> None:
    """How text is continued."""
    parser.add_argument(
        "--max-new", type=whole(1), default=max_new, metavar="N", help=f"most tokens of an answer (default: {max_new})"
    )
    parser.add_argument(
        "--temperature", type=real(0.0), default=0.0, metavar="X", help="0 takes the most probable token (default: 0)"
    )
    parser.add_argument(
        "--top-p", type=real(0.0, 1.0), default=1.0, metavar="X", help="draw among the most probable (default: 1)"
    )
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of the draws (default: 0)")


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of an integer option."""

    def parse(text: str) -> int:
        expected = f"at least {least}" if most is None else f"{least} to {most}"
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected an integer, got {text!r}") from None
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {value}")
        return value

    return parse


def real(least: float, most: float = float("inf")) -> Callable[[str], float]:
    """The type of an option with a fraction."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
        if not least <= value <= most or value == float("inf"):
            expected = f"at least {least:g}" if most == float("inf") else f"{least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text}")
        return value

    return parse
