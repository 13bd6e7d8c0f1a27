"""Events as lines: one JSON object a line, read with every field's type checked, never guessed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from lvmcheck.run.events import FORMAT, KINDS, MAX_INT, Event, Term

SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How JSON, which has no such numbers, spells them."""
_NUMBERS = ("metrics", "values", "terms")  # mappings whose strings are spelled-out floats
_FIELDS: dict[type, dict[str, dataclasses.Field[Any]]] = {
    kind: {f.name: f for f in dataclasses.fields(kind)} for kind in (*KINDS.values(), Term)
}


class EventError(ValueError):
    """A line that is not an event; the reader adds file and line number."""


def to_line(event: Event) -> str:
    """The event as one line of JSON without the newline; absent values are left out."""
    body: dict[str, Any] = {"event": event.event}
    for name in _FIELDS[type(event)]:
        value = getattr(event, name)
        if value is None:
            continue
        if name == "terms":
            value = {key: {"weight": term.weight, "mean": term.mean} for key, term in value.items()}
        body[name] = value
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(spell(body), allow_nan=False, separators=(",", ":"))


def spell(value: Any) -> Any:
    """The value with numbers that are not finite spelled out, because JSON has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: spell(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [spell(item) for item in value]
    return value


def parse_line(line: str | bytes) -> Event:
    """The event on one line.

    Raises:
        EventError: not JSON, not an object, an unknown event, or fields missing, unknown or of another type.
    """
    try:
        body = json.loads(line, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise EventError(f"expected one JSON object, got {_shown(line)} ({error})") from None
    if not isinstance(body, dict):
        raise EventError(f"expected one JSON object, got {_shown(line)}")
    name = body.pop("event", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise EventError(f"unknown event {name!r}; known: {', '.join(KINDS)}")
    return _build(kind, body, str(name))


def _build(kind: type[Event], body: dict[str, Any], name: str) -> Event:
    fields = _FIELDS[kind]
    unknown = body.keys() - fields.keys()
    if unknown:
        raise EventError(f"event '{name}': unknown field {sorted(unknown)[0]!r}")
    values = {key: _typed(fields[key], value, name) for key, value in body.items()}
    if values.get("format", FORMAT) > FORMAT:
        raise EventError(f"format {values['format']} is newer than this lvmcheck reads ({FORMAT}): update it")
    try:
        return kind(**values)
    except TypeError:
        missing = [f.name for f in fields.values() if _required(f) and f.name not in values]
        raise EventError(f"event '{name}': missing field {missing[0]!r}") from None


def _required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _typed(f: dataclasses.Field[Any], value: Any, name: str) -> Any:
    """``value`` as the field's type; a wrong type is an error, never a guess."""
    where = f"event '{name}': field '{f.name}'"
    declared = str(f.type)
    if f.name == "terms":
        return {key: _term(item, where) for key, item in _mapping(value, where).items()}
    if f.name in _NUMBERS and declared.startswith("Mapping"):
        return {key: _float(item, f"{where}, {key!r}") for key, item in _mapping(value, where).items()}
    if declared.startswith("Mapping"):
        return _mapping(value, where)
    if declared.startswith("tuple"):
        if not isinstance(value, list):
            raise EventError(f"{where}: expected a list, got {_shown(value)}")
        return tuple(str(item) for item in value)
    if declared.startswith("float"):
        return _float(value, where)
    if declared.startswith("int"):
        if isinstance(value, bool) or not isinstance(value, int):
            raise EventError(f"{where}: expected an integer, got {_shown(value)}")
        if not -MAX_INT <= value <= MAX_INT:
            raise EventError(f"{where}: expected an integer of at most 53 bits, got one of {value.bit_length()}")
        return value
    if not isinstance(value, str):
        raise EventError(f"{where}: expected a string, got {_shown(value)}")
    return value


def _term(value: Any, where: str) -> Term:
    item = _mapping(value, where)
    if item.keys() != {"weight", "mean"}:
        raise EventError(f"{where}: expected weight and mean, got {_shown(value)}")
    return Term(weight=_float(item["weight"], where), mean=_float(item["mean"], where))


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EventError(f"{where}: expected an object, got {_shown(value)}")
    return value


def _float(value: Any, where: str) -> float:
    if isinstance(value, str) and value in SPELLED:
        return SPELLED[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EventError(f"{where}: expected a number, got {_shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise EventError(f"{where}: expected a number that a float can hold, got {_shown(value)}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for key, value in pairs:
        if key in body:
            raise ValueError(f"key {key[:60]!r} occurs twice")
        body[key] = value
    return body


def _shown(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return repr(text[:60] + ("..." if len(text) > 60 else ""))
