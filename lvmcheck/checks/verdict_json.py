"""The JSON form of a verdict: its fields as they are, and ``message`` for people, which no reader takes apart.

A new field of a verdict appears here, in every report and in the published schema by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from string import Formatter
from typing import Any, TypeVar, cast

from lvmcheck.checks.finding import Verdict, plain
from lvmcheck.checks.wording import outcome_text
from lvmcheck.errors import InputError
from lvmcheck.run.event_lines import SPELLED, spell
from lvmcheck.validation import adapter

T = TypeVar("T")
FIGURES = ("measured", "value")
"""Fields that hold a number or a text."""
LARGEST = 2**63


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Plain values with the rendered message; numbers that are not finite are spelled out."""
    body = plain_json(verdict)
    assert isinstance(body, dict)
    return body


def plain_json(value: Any) -> Any:
    """Dataclasses as objects, enums as their values, numbers of numpy as Python's; every verdict with its message."""
    if is_dataclass(value) and not isinstance(value, type):
        body = {field.name: plain_json(getattr(value, field.name)) for field in fields(value)}
        return {**body, "message": outcome_text(value.outcome)} if isinstance(value, Verdict) else body
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(map(plain_json, value))
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return spell(plain(value))


def verdict_from_json(body: object, where: str) -> Verdict:
    """The verdict of :func:`verdict_json`'s form, from a file that anybody may have written.

    Raises:
        InputError: a field is missing, of another type, or its phrase names what is not there.
    """
    return from_json(Verdict, body, where)


def from_json(kind: type[T], body: object, where: str) -> T:
    """A dataclass that holds verdicts, from the plain values that :func:`plain_json` makes of it.

    Raises:
        InputError: as :func:`verdict_from_json`.
    """
    from pydantic import ValidationError

    try:
        found: T = adapter(cast(Hashable, kind)).validate_json(json.dumps(unspelled(body)), strict=True)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or None
        raise InputError(where, f"{first['msg']}, got {str(first['input'])[:80]!r}", key=key) from None
    for verdict in verdicts_in(found):
        require_phrase(verdict, where)
    return found


def verdicts_in(value: object) -> Iterator[Verdict]:
    """Every verdict that a dataclass holds."""
    if isinstance(value, Verdict):
        yield value
    elif is_dataclass(value):
        yield from (found for field in fields(value) for found in verdicts_in(getattr(value, field.name)))
    elif isinstance(value, tuple):
        yield from (found for item in value for found in verdicts_in(item))


def require_phrase(verdict: Verdict, where: str) -> None:
    """Refuse a phrase that is no template over the finding's own names: a format string could do more than that.

    Raises:
        InputError: it is none.
    """
    finding = verdict.finding
    if finding is None or not finding.phrase:
        return
    known = {"measured", "metric", "code", *(fact.name for fact in finding.evidence)}
    try:
        parts = list(Formatter().parse(finding.phrase))
    except ValueError:
        parts = [("", "", "", "")]  # a brace without its other half
    if any(
        name is not None and (name not in known or not name.isidentifier() or spec or kind)
        for _, name, spec, kind in parts
    ):
        raise InputError(where, f"expected a phrase over {', '.join(sorted(known))}", key="outcome.finding.phrase")


def unspelled(value: Any) -> Any:
    """Figures that were spelled out as numbers again, integers beyond 64 bits as floats, verdicts without message."""
    if isinstance(value, Mapping):
        left_out = "message" if "outcome" in value else None
        kept = {key: item for key, item in value.items() if key != left_out}
        return {key: _figure(item) if key in FIGURES else unspelled(item) for key, item in kept.items()}
    return [unspelled(item) for item in value] if isinstance(value, list) else value


def _figure(value: Any) -> Any:
    if isinstance(value, str):
        return SPELLED.get(value, value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST:
        return math.copysign(math.inf, value) if abs(value) > 10**308 else float(value)
    return unspelled(value)


def with_messages(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema made from the types, completed by the message that every verdict carries."""
    verdict = schema["$defs"]["Verdict"]
    verdict["properties"]["message"] = {"type": "string", "title": "Message"}
    verdict["required"] = [*verdict["properties"]]
    return schema
