"""``python -m models``: train a model, talk to it, test it, serve it. A command is one module of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lvmcheck.text.commands import BAD_INPUT, INTERNAL, CommandLine

PASSED, FAILED = 0, 1
EXITS = {
    PASSED: "done",
    FAILED: "done, and below what was asked for (a floor, a check)",
    BAD_INPUT: "bad input",
    INTERNAL: "internal error",
}
LINE = CommandLine(
    package=__package__,
    folder=Path(__file__).parent,
    prog="python -m models",
    about="train a model, talk to it, test it, serve it",
    exits=EXITS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return LINE.main(arguments)
