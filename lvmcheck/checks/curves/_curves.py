"""What universal checks on curves share: they judge a run that has ended, as far as it went, on what it recorded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lvmcheck.checks.bounds import Bound
from lvmcheck.checks.finding import Fact, Finding, Outcome, Scalar, not_applicable, passed, pending
from lvmcheck.checks.protocol import Check
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction, Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape, trend

if TYPE_CHECKING:
    from numpy.typing import NDArray

SURE = 3.0
"""Standard deviations of a flat curve's trend from which it is no chance."""
FAR = 5.0
"""Standard deviations between two levels from which they differ."""


@dataclass(frozen=True, kw_only=True)
class CurveCheck(Check):
    """A check of whatever series a run has, once it has ended."""

    universal = True
    metric_fields = ()
    exempt: ClassVar[Mapping[str, str]] = {
        "planned_end": "judges a run as far as it went: early stopping and a plain break are ordinary ends",
        "missing_end": "validation may come every n-th epoch, and its last value stands",
        "nan": "one value moves no level; with one that is not finite nothing passes, and the check finite fails",
    }

    def judge(self, run: Run) -> Outcome:
        return unfinished(run) or self.judge_ended(run)

    def judge_ended(self, run: Run) -> Outcome:
        """The answer on a run that is over."""
        raise NotImplementedError


def unfinished(run: Run, what: str = "the end of the run") -> Outcome | None:
    """Pending while the run goes on: what rises may fall again, and what is flat may move."""
    return None if run.over else pending(what)


def concluded(finding: Finding, curves: Iterable[Curve], *, evaluated: int) -> Outcome:
    """A pass, except where some values were NaN or infinite: a comparison with them holds for nothing."""
    missing = sum(curve.missing for curve in curves)
    if missing:
        return not_applicable(f"{missing} values are NaN or infinite: the check finite judges them")
    return passed(finding, evaluated=evaluated)


def lower_is_better(curve: Curve) -> NDArray[np.float64]:
    """The values of a curve, turned so that lower is better."""
    return -curve.values if curve.role.direction is Direction.HIGHER else curve.values


def improved(curve: Curve) -> bool:
    """Whether a curve got better beyond its own noise, at any time."""
    values = lower_is_better(curve)
    if len(values) < 2:
        return False
    found = shape(values)
    scale = max(abs(found.first), abs(found.low))
    fall = found.first - min(found.last, found.low + 3 * found.error)
    if fall <= 1e-6 * scale:
        return False
    if len(values) < 8:
        rising = int((np.diff(values) > 0).sum())
        steady = rising * 4 < len(values) and fall > 0.02 * scale
        return steady or (fall > 0.1 * scale and fall > 4 * _quiet(values))
    rest = float(np.median(values[1:]))
    jump = float(values[0]) - rest
    return trend(values) < -SURE or (jump > FAR * found.noise and jump > 0.01 * scale) or fall > FAR * found.noise


def _quiet(values: NDArray[np.float64]) -> float:
    """Noise of few points: the smallest of their steps says most where they fall steeply."""
    return float(np.median(np.abs(np.diff(values[len(values) // 2 :])))) if len(values) > 2 else math.inf


def classes(run: Run) -> int | None:
    """Number of classes, where the data's facts or the config state it."""
    return _stated(run, ("classes", "num_classes", "n_classes", "num_labels"))


def vocabulary(run: Run) -> int | None:
    """Size of the vocabulary, where the data's facts or the config state it."""
    return _stated(run, ("vocabulary", "vocab_size", "vocab", "vocabulary_size"))


def _stated(run: Run, names: Sequence[str]) -> int | None:
    sources: list[Mapping[str, Any]] = [run.facts, run.config]
    sources += [part for part in run.config.values() if isinstance(part, dict)]
    for source in sources:
        for name in names:
            value = source.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value > 1:
                return value
    return None


def number(run: Run, *names: str) -> float | None:
    """The first of these facts (of the data, else of the config) that is a finite number."""
    for name in names:
        value = run.facts.get(name, run.config.get(name))
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None


def share(curve: Curve) -> NDArray[np.float64]:
    """An accuracy as shares of 1."""
    return curve.values / 100 if curve.role.unit == "%" else curve.values


def beginning(run: Run, curve: Curve) -> float:
    """Where a loss was before training: its own first value, or that of the first steps where both are on one scale."""
    first = float(curve.values[0])
    windows, means = run.curves.window_losses, run.curves.epoch_means
    if windows is not None and means is not None and first > 0 and 0.25 < float(means.values[0]) / first < 4:
        return max(first, float(np.median(windows.values[:3])))
    partner = run.curves.partner(curve)
    if partner is not None and len(partner) and float(partner.values[0]) < 4 * abs(first):
        return max(first, float(partner.values[0]))
    return first


GOOD, KEPT = 0.75, 0.02
"""Accuracy that is good, and what it may lose of its best without getting worse."""


def good_throughout(score: Curve) -> bool:
    """Whether an accuracy is good from its first value to its last, which is next to its best."""
    values = share(score)
    known = score.role.quantity is Quantity.ACCURACY and len(values) > 1
    return known and float(values.min()) >= GOOD and float(values[-2:].max()) >= float(values.max()) - KEPT


def accuracies(run: Run, split: Split | None = None) -> list[Curve]:
    return [c for c in run.curves.of(Quantity.ACCURACY, split=split) if c.role.split is not Split.TRAIN or split]


def planned_steps(run: Run) -> int | None:
    """Optimizer steps that were planned: as stated, else from the planned epochs and the steps of those recorded."""
    for name in ("max_steps", "total_steps", "num_training_steps", "steps", "max_iters"):
        value = run.config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    ends = [event for event in run.of(ev.Epoch) if event.step]
    epochs = run.config.get("epochs")
    if isinstance(epochs, int) and not isinstance(epochs, bool) and ends and ends[-1].epoch <= epochs:
        return round(ends[-1].step * epochs / ends[-1].epoch)
    return None


def place_fact(name: str, curve: Curve, index: int) -> Fact:
    """A value of a curve with its place."""
    epoch, step = curve.place(index)
    return Fact(name, float(curve.values[index]), epoch=epoch, step=step if curve.by_step else None)


def found_at(
    curve: Curve,
    index: int,
    code: str,
    measured: Scalar = None,
    *,
    unit: str = "",
    bounds: tuple[Bound, ...] = (),
    evidence: tuple[Fact, ...] = (),
    phrase: str = "",
) -> Finding:
    """A finding on a curve at the place of a value, which is what was measured where nothing else is given."""
    place = place_fact("", curve, index)
    return Finding(
        code=code,
        metric=curve.name,
        measured=place.value if measured is None else measured,
        unit=unit,
        bounds=bounds,
        epoch=place.epoch,
        step=place.step,
        evidence=evidence,
        phrase=phrase,
    )


def as_recorded(run: Run, curve: Curve) -> Curve:
    """The values that stand in the record, where ``curve`` holds means over parts of the run."""
    windows = run.curves.window_losses
    return windows if windows is not None and curve.by_step and curve is run.curves.train else curve


def course(run: Run, curve: Curve, best: str = "best") -> tuple[Fact, Fact, Fact]:
    """The first, the best and the last finite value as they stand in the record, each with its place.

    Checks compare levels, which one point cannot move; a person looks up values.
    """
    whole = as_recorded(run, curve)
    at = int(lower_is_better(whole).argmin())
    return place_fact("first", whole, 0), place_fact(best, whole, at), place_fact("last", whole, len(whole) - 1)


def aligned(train: Curve, other: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of both at the epochs that both were recorded at, the last of each epoch."""
    known = dict(zip(train.epochs.tolist(), train.values.tolist(), strict=True))
    found = dict(zip(other.epochs.tolist(), other.values.tolist(), strict=True))
    shared = [epoch for epoch in found if epoch in known]
    return np.array([known[epoch] for epoch in shared]), np.array([found[epoch] for epoch in shared])
