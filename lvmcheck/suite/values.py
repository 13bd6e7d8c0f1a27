"""A TOML value against the annotation of a dataclass field: strict, and said in TOML's words."""

from __future__ import annotations

import datetime
import json
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from lvmcheck.errors import nearest
from lvmcheck.suite.source import excerpt

_WORDS: dict[object, str] = {bool: "boolean", int: "integer", float: "float", str: "string"}


class MismatchError(ValueError):
    """A value that an annotation does not allow; ``fix`` offers the nearest allowed one."""

    def __init__(self, problem: str, fix: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


def convert(value: object, hint: Any) -> object:
    """``value`` as ``hint`` wants it: an integer becomes a float, an array a tuple; nothing else is coerced.

    Supports bool, int, float, str, None, Any, object, Literal, unions, tuple, list, Sequence, dict and Mapping.

    Raises:
        MismatchError: ``expected float, got string "5e-4"``.
        TypeError: the annotation itself is of no supported kind (a defect of the check, not of the suite).
    """
    found, ok = _convert(value, hint)
    if ok:
        return found
    if isinstance(value, float) and not math.isfinite(value):
        raise MismatchError(f"expected a finite number, got {value}")
    choices = [item for item in _choices(hint) if isinstance(item, str)]
    fix = nearest(value, choices) if choices and isinstance(value, str) else None
    raise MismatchError(f"expected {expected(hint)}, got {describe(value)}", fix)


def expected(hint: Any) -> str:
    """An annotation in TOML's words: ``float``, ``array of integer``, ``"a" or "b"``."""
    if hint in _WORDS:
        return _WORDS[hint]
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin is Literal:
        return " or ".join(f'"{item}"' if isinstance(item, str) else describe(item) for item in args)
    if origin in (Union, types.UnionType):
        return " or ".join(expected(item) for item in args if item is not type(None))
    if origin is tuple and args and args[-1] is not Ellipsis:
        return f"array of {len(args)} ({', '.join(map(expected, args))})"
    if origin in (tuple, list, Sequence):
        return f"array of {expected(args[0])}" if args else "array"
    if origin in (dict, Mapping):
        return f"table of {expected(args[1])}" if args and args[1] not in (Any, object) else "table"
    return "any value" if hint in (Any, object) else str(hint)


def describe(value: object) -> str:
    """What came, in TOML's words: ``string "5e-4"``, ``boolean true``, ``array [1, 2]``."""
    if isinstance(value, bool):
        return f"boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"{_WORDS[type(value)]} {value!r}"
    if isinstance(value, str):
        return f'string "{excerpt(value, 40)}"'
    if isinstance(value, list | tuple):
        return f"array {excerpt(json.dumps(value, default=str), 40)}"
    if isinstance(value, dict):
        return f"table with {excerpt(', '.join(value), 40) or 'no keys'}"
    return f"date {value}" if isinstance(value, datetime.date | datetime.time) else type(value).__name__


def _choices(hint: Any) -> tuple[object, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(choice for item in get_args(hint) for choice in _choices(item))
    return ()


def _convert(value: object, hint: Any) -> tuple[object, bool]:
    """The converted value and whether it is allowed (a value may be None or false, so it cannot say so itself)."""
    if hint in (Any, object):
        return value, True
    if hint in (bool, str, int):
        return value, type(value) is hint
    if hint is float:
        number = float(value) if type(value) in (int, float) else math.nan  # type: ignore[arg-type]
        return number, math.isfinite(number)
    if hint is None or hint is type(None):
        return value, value is None
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin is Literal:
        return value, any(type(value) is type(item) and value == item for item in args)
    if origin in (Union, types.UnionType):
        return _convert_union(value, args)
    if origin in (tuple, list, Sequence):
        return _convert_array(value, origin, args)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            return value, False
        items = {key: _convert(item, args[1] if args else Any) for key, item in value.items()}
        return {key: item for key, (item, _) in items.items()}, all(ok for _, ok in items.values())
    raise TypeError(f"annotation {hint!r} is of no kind that a suite can fill")


def _convert_union(value: object, args: tuple[Any, ...]) -> tuple[object, bool]:
    """The first member that allows the value; one of exactly its type goes first, so 1 stays 1 in ``float | int``."""
    for item in sorted(args, key=lambda item: item is not type(value)):
        found, ok = _convert(value, item)
        if ok:
            return found, True
    return value, False


def _convert_array(value: object, origin: Any, args: tuple[Any, ...]) -> tuple[object, bool]:
    if not isinstance(value, list | tuple):
        return value, False
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(args) != len(value):
            return value, False
        items = [_convert(item, hint) for item, hint in zip(value, args, strict=True)]
    else:
        items = [_convert(item, args[0] if args else Any) for item in value]
    kind = list if origin is list else tuple
    return kind(item for item, _ in items), all(ok for _, ok in items)
