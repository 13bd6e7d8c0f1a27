"""One value of a table as a number, or as nothing: an empty cell is a value that was not measured, never 0."""

from __future__ import annotations

import math
import re

from lvmcheck.errors import InputError
from lvmcheck.readers._files import shown

_WORDS = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}
EMPTY = frozenset(
    {"", "null", "none", "na", "n/a", "#n/a", "<na>", "n.a.", "-", "--", "_", "no log", "\N{EM DASH}", "\N{EN DASH}"}
)
"""What people and tools write into a cell in which nothing was measured, in small letters."""
_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)


class NotANumberError(ValueError):
    """A cell that is no number; the message says what it is."""


_STARTS = frozenset("0123456789.-+")
"""How nearly every number begins."""
_TENSOR = re.compile(r"tensor\(\s*([^,()\s]+)\s*(?:,[^()]*)?\)")
"""What is written where ``.item()`` was left out."""


def number(value: object) -> float | None:
    """The number that a cell or a JSON value stands for; None where it is empty.

    Raises:
        NotANumberError: text, a truth value, a list.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotANumberError(shown(value))
    try:
        return float(value)
    except OverflowError:
        raise NotANumberError(f"{shown(value)}, which no float can hold") from None


def is_number(value: object) -> bool:
    """Whether a cell or a JSON value stands for a number."""
    try:
        return number(value) is not None
    except NotANumberError:
        return False


def is_empty(value: object) -> bool:
    """Whether nothing was measured."""
    return value is None or (isinstance(value, str) and value.strip().lower() in EMPTY)


def _from_text(said: str) -> float | None:
    if said[:1] in _STARTS and "_" not in said:
        try:
            return float(said)
        except ValueError:
            pass
    if said.lower() in EMPTY:
        return None
    known = _WORDS.get(said.lower().lstrip("+"))
    if known is not None:
        return known
    if _COMMA.fullmatch(said):
        raise NotANumberError(f"{said!r}, a decimal comma; write {said.replace(',', '.')}")
    plain = _TENSOR.sub(r"\1", said).removesuffix("%").rstrip()
    try:
        if "_" in said:
            raise ValueError
        return float(plain)
    except ValueError:
        raise NotANumberError(shown(said)) from None


def whole(value: float | None) -> int | None:
    """An integer where the number is one (a tolerance of 1e-6 for 2.9999999), else None."""
    if value is None or not math.isfinite(value) or abs(value) > 1e15:
        return None
    near = round(value)
    return near if abs(value - near) <= 1e-6 else None


def axis(value: float | None, name: str, where: object, line: int | None) -> int | None:
    """An epoch or a step, which must be a whole number of at least 0.

    Raises:
        InputError: it is not.
    """
    if value is None:
        return None
    found = whole(value)
    if found is None or found < 0:
        raise InputError(str(where), f"expected a whole number of at least 0, got {value:g}", line=line, key=name)
    return found
