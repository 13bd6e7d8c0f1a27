"""Values from outside against the annotations of a dataclass: pydantic decides, and its first error is said in TOML's
words with the key that it belongs to.

Types are the annotations, limits are the dataclass's own ``__post_init__``, which raises :class:`BadValueError`.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import types
import typing
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from lvmcheck.errors import BadValueError, excerpt, nearest

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails

T = TypeVar("T")
STRICT: dict[str, object] = {"extra": "forbid", "allow_inf_nan": False}
"""``__pydantic_config__`` of a dataclass that refuses unknown keys, and numbers that are not finite."""
_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
_WORDS: dict[object, str] = {bool: "boolean", int: "integer", float: "float", str: "string"}


def validated(kind: type[T], table: Mapping[str, object], *, also: Iterable[str] = ()) -> T:
    """``table`` as an instance of the dataclass ``kind``; an integer may stand for a float, nothing else is coerced.

    Args:
        also: further names that a misspelt key may have meant.

    Raises:
        BadValueError: an unknown key first, else the first thing wrong.
        TypeError: an annotation of ``kind`` is of no kind that a file can fill (a defect of the code).
    """
    from pydantic import ValidationError

    adapter = _adapter(cast(Hashable, kind))
    try:
        # As JSON, because arrays of a file may then become tuples while everything else stays strict.
        instance: T = adapter.validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as problem:
        raise _mismatch(problem, kind, table, tuple(also)) from None
    return instance


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(kind)
    except (PydanticUserError, NameError) as problem:
        first = str(problem).splitlines()[0]
        raise TypeError(f"{kind.__qualname__} has an annotation that no file can fill: {first}") from None


# -- errors ------------------------------------------------------------------------------------------------------------
def _mismatch(
    problem: ValidationError, kind: type, table: Mapping[str, object], also: tuple[str, ...]
) -> BadValueError:
    found = problem.errors(include_url=False)
    error = next((item for item in found if item["type"] in _UNKNOWN), found[0])
    path, owner = _field_path(kind, error["loc"])
    if error["type"] in _UNKNOWN:
        key = str(error["loc"][-1])
        names = [field.name for field in dataclasses.fields(owner) if field.init]
        return BadValueError(_dotted(*path, key), "unknown key", nearest(key, [*names, *also]))
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        bad = cause if isinstance(cause, BadValueError) else BadValueError("", str(cause))
        return BadValueError(_dotted(*path, bad.key), excerpt(bad.problem, 300), bad.fix)
    return _unfit(error, path, owner, table)


def _unfit(error: ErrorDetails, path: tuple[str, ...], owner: type, table: Mapping[str, object]) -> BadValueError:
    """A value of another type, or none where one is required."""
    hint = _hints(owner)[path[-1]]
    if error["type"] in ("missing", "missing_keyword_only_argument"):
        return BadValueError(_dotted(*path), f"missing, expected {expected(hint)}")
    value: Any = table
    for part in path:
        value = value[part]
    if isinstance(value, float) and not math.isfinite(value):
        return BadValueError(_dotted(*path), f"expected a finite number, got {value}")
    choices = [item for item in _choices(hint) if isinstance(item, str)]
    fix = nearest(value, choices) if choices and isinstance(value, str) else None
    return BadValueError(_dotted(*path), f"expected {expected(hint)}, got {describe(value)}", fix)


def _field_path(kind: type, loc: Sequence[str | int]) -> tuple[tuple[str, ...], type]:
    """The part of pydantic's path that names fields, and the dataclass that holds the last of them."""
    path: tuple[str, ...] = ()
    owner = kind
    for part in loc:
        hints = _hints(kind)
        if not isinstance(part, str) or part not in hints:
            break
        path, owner = (*path, part), kind
        inner = [item for item in (hints[part], *get_args(hints[part])) if dataclasses.is_dataclass(item)]
        if not inner:
            break
        kind = cast(type, inner[0])
    return path, kind if len(path) < len(loc) else owner


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _choices(hint: Any) -> tuple[object, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(choice for item in get_args(hint) for choice in _choices(item))
    return ()


# -- words -------------------------------------------------------------------------------------------------------------
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
    if dataclasses.is_dataclass(hint):
        return "table"
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
