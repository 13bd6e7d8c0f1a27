"""What a run may say, typed. One event is one JSON object on one line of ``events.jsonl``.

Every number is a plain float, int or None. JSON has no NaN, so non-finite floats travel as the strings ``"NaN"``,
``"Infinity"`` and ``"-Infinity"`` and come back as floats. A quantity that was not measured is absent, never 0.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

MAX_EPOCH = 10_000_000
"""The largest number of an epoch."""
MAX_INT = 2**53
"""The largest integer of any field, as large as JSON readers hold exactly."""
FORMAT = 1  # raised when an old reader could misread a new file

Value = float | int | str | bool | None | list[Any] | dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Common to all events: ``t`` is seconds since the run began, on a monotonic clock."""

    event: ClassVar[str] = ""
    t: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin(Event):
    """The trainer has started (or, with ``resumed_at_step``, continued from a checkpoint)."""

    event: ClassVar[str] = "begin"
    format: int = FORMAT
    time: str = ""
    resumed_at_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declare(Event):
    """The metrics that epochs of this run will report, so that a check on another name fails at once.

    ``roles`` says what a metric is where its name does not: name -> any of quantity, split, direction ("higher" or
    "lower" is better), unit, low, high.
    """

    event: ClassVar[str] = "declare"
    metrics: tuple[str, ...] = ()
    roles: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data(Event):
    """What the run is trained on: name, content fingerprint, facts (sizes, baselines, lag profile) and notes."""

    event: ClassVar[str] = "data"
    name: str
    fingerprint: str
    facts: Mapping[str, Value] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Event):
    """What is trained: kind, number of trainable parameters (in all and by component), digest of the architecture."""

    event: ClassVar[str] = "model"
    kind: str
    parameters: int
    digest: str = ""
    components: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(Event):
    """What training runs on: the kind of device ("cpu", "cuda", "mps") and whatever else describes it."""

    event: ClassVar[str] = "device"
    kind: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Event):
    """A stage of a curriculum begins: ``step`` optimizer steps are done, ``epoch`` is its first (1-based).

    ``records`` counts its training records by data set; ``fingerprint`` is that of exactly those records.
    """

    event: ClassVar[str] = "stage"
    index: int
    name: str
    epoch: int
    step: int
    fingerprint: str
    records: Mapping[str, Value] = field(default_factory=dict)
    facts: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One loss term over a window: its weight and its mean unweighted value."""

    weight: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Event):
    """Consecutive optimizer steps of one epoch, summarised (never a running mean since the epoch's start).

    ``ledger_error`` is the largest |loss - sum(weight * term)| of a step over max(|loss|, sum |weight * term|);
    absent when the loop declares no terms. ``non_finite`` names the first step with a NaN or infinite number.
    ``metrics`` are means of whatever else the loop reports by step.
    """

    event: ClassVar[str] = "window"
    epoch: int
    first_step: int
    last_step: int
    samples: int = 0
    seconds: float = 0.0
    loss_mean: float
    loss_min: float
    loss_max: float
    terms: Mapping[str, Term] = field(default_factory=dict)
    ledger_error: float | None = None
    grad_norm_mean: float | None = None
    grad_norm_max: float | None = None
    lr: float | None = None
    non_finite: Mapping[str, Value] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Event):
    """A measurement of model, loss or optimizer inside the loop, such as the gradient norm of each loss term."""

    event: ClassVar[str] = "probe"
    name: str
    epoch: int
    step: int
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch(Event):
    """What ``watch`` measured at one sampled step: ``subjects`` are the parameters or modules that it is about."""

    event: ClassVar[str] = "watch"
    name: str
    epoch: int
    step: int
    subjects: tuple[str, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch(Event):
    """The end of an epoch (1-based) and its metrics. ``step`` counts optimizer steps since the run began.

    ``counted_as`` is the loop's own number of the epoch where it counts from 0.
    """

    event: ClassVar[str] = "epoch"
    epoch: int
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    samples_per_second: float | None = None
    counted_as: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log(Event):
    """Metrics at a step, outside the ends of epochs: an evaluation every thousand steps, a loop without epochs."""

    event: ClassVar[str] = "log"
    epoch: int
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Event):
    """What the model generated for one prompt. ``name`` is how: "greedy" or "sampled"; ``answer`` is the right one.

    ``text`` is the continuation alone; ``dataset`` is where the prompt comes from.
    """

    event: ClassVar[str] = "sample"
    name: str
    epoch: int
    step: int
    prompt: str
    text: str
    answer: str | None = None
    dataset: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Event):
    """A checkpoint was published: ``name`` is "best" or "last", ``path`` is relative to the run directory."""

    event: ClassVar[str] = "checkpoint"
    name: str
    path: str
    epoch: int
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Event):
    """A measurement outside the epochs, such as a checkpoint loaded afresh and evaluated again ("reload").

    ``checkpoint`` is the name of the checkpoint that was evaluated, where it was one.
    """

    event: ClassVar[str] = "evaluation"
    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    about: str = ""
    checkpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Early(Event):
    """The trainer ends after ``epoch`` by a rule of its config (early stopping): that epoch is the last one planned."""

    event: ClassVar[str] = "early"
    epoch: int
    step: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """A sentence for the reader of the run."""

    event: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Event):
    """The trainer noticed that it was asked to stop, at this step."""

    event: ClassVar[str] = "stop"
    epoch: int
    step: int
    reason: str


KINDS: dict[str, type[Event]] = {
    kind.event: kind
    for kind in (
        *(Begin, Declare, Data, Model, Device, Stage, Window, Probe, Watch),
        *(Epoch, Log, Sample, Checkpoint, Evaluation, Early, Note, Stop),
    )
}
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
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
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
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
