"""What a run may say, typed. One event is one JSON object on one line of ``events.jsonl``.

Every number is a plain float, int or None. JSON has no NaN, so non-finite floats travel as the strings ``"NaN"``,
``"Infinity"`` and ``"-Infinity"`` and come back as floats. A quantity that was not measured is absent, never 0.
"""

from __future__ import annotations

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
    """The trainer has started (or, with ``resumed_at_step``, continued from a checkpoint).

    ``nonce`` is what a gate handed to the session that trains: it shows that these events were made in that session.
    """

    event: ClassVar[str] = "begin"
    format: int = FORMAT
    time: str = ""
    resumed_at_step: int | None = None
    nonce: str | None = None


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
class Origin(Event):
    """What the run begins with: digests of its first weights or of its first batch, which differ between seeds."""

    event: ClassVar[str] = "origin"
    weights: str | None = None
    batch: str | None = None


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


MODELS = "models"
"""Name of the measurement that says how many models are watched at once, where it is more than one."""


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
        *(Begin, Declare, Data, Model, Origin, Device, Stage, Window, Probe, Watch),
        *(Epoch, Log, Sample, Checkpoint, Evaluation, Early, Note, Stop),
    )
}
