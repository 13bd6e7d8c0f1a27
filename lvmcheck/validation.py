"""Values from outside against annotations: pydantic decides, and its first error is one sentence with its key.

Types are the annotations of a dataclass or of a pydantic model. Limits are the model's fields, or the dataclass's own
``__post_init__``, which raises :class:`lvmcheck.errors.BadValueError`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import signal
import threading
import types
import typing
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from lvmcheck.errors import BadValueError, InputError, excerpt, nearest

if TYPE_CHECKING:
    from types import FrameType

    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails

T = TypeVar("T")
STRICT: dict[str, object] = {"extra": "forbid", "allow_inf_nan": False}
"""``__pydantic_config__`` of a dataclass that refuses unknown keys, and numbers that are not finite."""
_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
_MISSING = ("missing", "missing_keyword_only_argument")
_TYPED = ("literal_error", "int_from_float", "too_long", "too_short", *_MISSING)
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_NOUNS: dict[object, str] = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
_PLURALS: dict[object, str] = {bool: "truth values", int: "integers", float: "numbers", str: "strings"}


def validated(kind: type[T], table: Mapping[str, object], *, also: Iterable[str] = ()) -> T:
    """``table`` as an instance of ``kind``; an integer may stand for a float, nothing else is coerced.

    Args:
        also: further names that a misspelt key may have meant.

    Raises:
        BadValueError: an unknown key first, else the first thing wrong.
        InputError: as a validator of ``kind`` raised it.
        TypeError: an annotation of ``kind`` is of no kind that a file can fill (a defect of the code).
    """
    from pydantic import ValidationError

    made = adapter(cast(Hashable, kind))
    try:
        # As JSON, because arrays of a file may then become tuples while everything else stays strict.
        instance: T = made.validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as problem:
        raise _first_error(problem, kind, table, tuple(also)) from None
    return instance


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What reads values as ``kind``, built once.

    Raises:
        TypeError: as :func:`validated`.
    """
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        with _interrupts_afterwards():  # pydantic takes one that comes now for an error of the types
            return TypeAdapter(kind)
    except (PydanticUserError, NameError) as problem:
        first = str(problem).splitlines()[0]
        raise TypeError(f"{kind.__qualname__} has an annotation that no file can fill: {first}") from None


@contextlib.contextmanager
def _interrupts_afterwards() -> Iterator[None]:
    """Ctrl-C that comes inside counts at the end; only the main thread is ever interrupted."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        before(*came[0])


# -- the first error ---------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class _Position:
    """Where an error belongs: its keys, the annotation and the value there, and the keys that its table may have."""

    keys: tuple[str, ...]
    hint: Any
    value: object
    known: tuple[str, ...]

    def key(self, *more: str) -> str:
        return ".".join(part for part in (*self.keys, *more) if part)


def _first_error(
    problem: ValidationError, kind: type, table: Mapping[str, object], also: tuple[str, ...]
) -> BadValueError | InputError:
    found = problem.errors(include_url=False)
    error = next((item for item in found if item["type"] in _UNKNOWN), found[0])
    position = _position(kind, error["loc"], table)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause
    if isinstance(cause, BadValueError):
        return BadValueError(position.key(cause.key), cause.problem, cause.fix)
    if cause is not None:
        return BadValueError(position.key(), excerpt(str(cause), 300))
    if error["type"] in _UNKNOWN:
        key = str(error["loc"][-1])
        return BadValueError(position.key(key), "unknown key", nearest(key, [*position.known, *also]))
    if error["type"] in _MISSING and isinstance(error["loc"][-1], str):
        return BadValueError(position.key(), f"missing, expected {expected(position.hint)}")
    choices = [item for item in _choices(position.hint) if isinstance(item, str)]
    fix = nearest(position.value, choices) if choices and isinstance(position.value, str) else None
    return BadValueError(
        position.key(), f"expected {_requirement(error, position)}, got {describe(position.value)}", fix
    )


def _requirement(error: ErrorDetails, position: _Position) -> str:
    if isinstance(position.value, float) and not math.isfinite(position.value):
        return "a finite number"
    for limit, words in _LIMITS.items():
        if limit in error.get("ctx", {}):
            return f"{words} {error['ctx'][limit]:g}"
    if "min_length" in error.get("ctx", {}) and get_origin(position.hint) is not tuple:
        return f"at least {error['ctx']['min_length']} of them"
    typed = error["type"].endswith("_type") or error["type"] in _TYPED
    return expected(position.hint) if typed else error["msg"]


def _position(kind: type, loc: Sequence[str | int], table: Mapping[str, object]) -> _Position:
    """Follows pydantic's path, which names members of unions as well as keys."""
    keys: tuple[str, ...] = ()
    hint: Any = kind
    value: Any = table
    for part in loc:
        inside = _fields(hint)
        if inside is not None and part in inside:
            hint = inside[part]
        elif inside is None and (found := _element(hint, part, value)) is not None:
            hint = found
        else:
            continue
        keys = (*keys, str(part))
        value = value.get(part) if isinstance(value, Mapping) else cast(Any, value)[part]
    return _Position(keys, hint, value, tuple(_fields(hint) or ()))


def _fields(hint: Any) -> dict[str, Any] | None:
    """Annotations by key of the dataclass or model that a value may be; None where it may be none."""
    for item in _members(hint):
        if hasattr(item, "model_fields"):
            return {name: field.annotation for name, field in item.model_fields.items()}
        if dataclasses.is_dataclass(item):
            hints = typing.get_type_hints(item)
            return {field.name: hints[field.name] for field in dataclasses.fields(item) if field.init}
    return None


def _element(hint: Any, part: str | int, value: object) -> Any:
    """The annotation of an element of an array or table; None where there is no such element."""
    for item in _members(hint):
        origin, args = get_origin(item) or item, get_args(item)
        if origin in (list, tuple, Sequence) and isinstance(value, list | tuple) and part in range(len(value)):
            return args[0] if args else Any
        if origin in (dict, Mapping) and isinstance(value, Mapping) and part in value:
            return args[1] if args else Any
    return None


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _choices(hint: Any) -> tuple[object, ...]:
    return tuple(choice for item in _members(hint) if get_origin(item) is Literal for choice in get_args(item))


# -- words -------------------------------------------------------------------------------------------------------------
def expected(hint: Any) -> str:
    """An annotation in words: ``a number``, ``a list of integers``, ``"a" or "b"``."""
    if hint in _NOUNS:
        return _NOUNS[hint]
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin is typing.Annotated:
        return expected(args[0])
    if origin is Literal:
        *others, last = map(json.dumps, args)
        return f"{', '.join(others)} or {last}" if others else last
    if origin in (Union, types.UnionType):
        return " or ".join(expected(item) for item in args if item is not type(None))
    if origin is tuple and args and args[-1] is not Ellipsis:
        return f"a list of {len(args)} ({', '.join(map(expected, args))})"
    if origin in (tuple, list, Sequence):
        return f"a list{_of(args[0])}" if args else "a list"
    if origin in (dict, Mapping):
        return f"a table{_of(args[1])}" if args else "a table"
    return "any value" if hint in (Any, object) else "a table" if _fields(hint) is not None else str(hint)


def _of(hint: Any) -> str:
    """`` of numbers``; empty where the elements are of no one simple type."""
    hint = get_args(hint)[0] if get_origin(hint) is typing.Annotated else hint
    plural = _PLURALS.get(hint) if isinstance(hint, Hashable) else None
    return f" of {plural}" if plural else ""


def describe(value: object) -> str:
    """A value in words: ``string '5e-4'``, ``true``, ``[1, 2]``, ``a table with lr``."""
    if isinstance(value, str):
        return f"string {excerpt(value, 40)!r}"
    if isinstance(value, bool | list | tuple):
        return excerpt(json.dumps(value, default=str), 60)
    if isinstance(value, Mapping):
        return f"a table with {excerpt(', '.join(map(str, value)), 40) or 'no keys'}"
    return excerpt(repr(value))
