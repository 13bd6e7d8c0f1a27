"""Numbers as a loop hands them over: floats, 0-d tensors and arrays; anything else is refused at the call."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError

PACKAGE = str(Path(__file__).parents[1])
NO_NUMBER = "SUMm"
"""Kinds of dtypes of numpy for text and dates."""


def number(value: Any, name: str) -> float:
    """``value`` as a float; a tensor crosses from its device.

    Raises:
        InputError: not a single number; names the file and line of the call.
    """
    check_number(value, name)
    return float(value.detach() if hasattr(value, "detach") else value)


def check_number(value: Any, name: str) -> None:
    """Refuse what is not a single number, without reading a tensor from its device.

    Raises:
        InputError: not a single number; names the file and line of the call.
    """
    if type(value) is float or type(value) is int:
        return
    if isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool"):
        fix = "Give the quantity itself; a count of successes is float(value)."
        raise refused(name, f"a number, got the truth value {str(value)[:40]}", fix)
    if hasattr(value, "ndim") and hasattr(value, "dtype"):
        if value.ndim == 0 and "complex" not in str(value.dtype) and getattr(value.dtype, "kind", "f") not in NO_NUMBER:
            return
        if value.ndim:
            raise refused(name, f"a number or a 0-d tensor, got shape {list(value.shape)}", "Reduce it first: .mean().")
    elif isinstance(value, int | float) or (hasattr(value, "__float__") and not isinstance(value, str | bytes)):
        return
    if value is None:
        fix = "Two players report the sum of their losses, and each by its name: step(loss=d + g, d_loss=d, g_loss=g)."
        raise refused(name, "a number or a 0-d tensor, got none", fix if name == "loss" else None)
    raise refused(name, f"a number or a 0-d tensor, got {type(value).__name__} {str(value)[:40]!r}", None)


def count(value: Any, name: str) -> int:
    """A whole number of at least 0.

    Raises:
        InputError: it is none; names the file and line of the call.
    """
    check_number(value, name)
    if not (float(value) >= 0 and float(value).is_integer()):
        raise refused(name, f"a whole number of at least 0, got {str(value)[:40]}", None)
    return int(value)


def numbers(values: Any, what: str) -> dict[str, float]:
    """A mapping of metric names to numbers; None is "not measured" and is left out.

    Raises:
        InputError: no mapping, a name that is no string, or a value that is no number.
    """
    if not isinstance(values, Mapping):
        raise refused(what, f"a mapping of names to numbers, got {type(values).__name__}", None)
    bad = next((name for name in values if not isinstance(name, str) or not name), None)
    if bad is not None:
        raise refused(what, f"names that are not empty, got {bad!r}", None)
    return {name: number(value, name) for name, value in values.items() if value is not None}


def refused(name: str, expected: str, fix: str | None) -> InputError:
    """The error for an argument of a call, at the caller's file and line."""
    return misused(name, f"expected {expected}", fix)


def misused(key: str, problem: str, fix: str | None = None) -> InputError:
    """The error of a call, at the caller's file and line."""
    file, line = caller()
    return InputError(file, problem, line=line, key=key, fix=fix)


def caller() -> tuple[str, int | None]:
    """File and line of the innermost call from outside lvmcheck."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_back is None:
            return "lvmcheck", None
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
