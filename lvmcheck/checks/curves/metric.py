"""metric: a metric keeps a bound at an epoch, over steps, at the end, at its best, or in every epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lvmcheck.checks.bounds import BoundKind
from lvmcheck.checks.curves._bounded import Bounded, When
from lvmcheck.checks.finding import Fact, Finding, Outcome, compared, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.baselines import Floor, baselines, parse_floor
from lvmcheck.checks.shared.epochs import awaiting, check_number
from lvmcheck.errors import BadValueError
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction, Split, by_name
from lvmcheck.run.view import Run, run_from

_KEYS = {
    "at_least": BoundKind.FLOOR,
    "at_most": BoundKind.CEILING,
    "abort_below": BoundKind.ABORT,
    "abort_above": BoundKind.ABORT,
}


@dataclass(frozen=True, kw_only=True)
class Metric(Bounded):
    """The metric is at least `at_least` and at most `at_most` at `epoch`: a number, "final", "best" or "every".

    Bounds are numbers of any size, or expressions of figures of the same run: facts of its data and baselines
    ("majority_share + 0.05"), and other metrics at the same epoch ("train_loss + 0.1", "1.2 * train_loss"). A value
    beyond `abort_below` or `abort_above` stops the run. `tolerance` widens each bound absolutely, `tolerance_percent`
    by a share of it. With `steps` = [first, last] the mean of what was recorded within these optimizer steps is judged
    instead; the training loss is called train_loss there. With `min_steps` a numbered epoch counts only when so many
    steps are behind it.

    Why:
    Every project has a number of its own that a run must reach, and a number at which it is not worth going on.

    Usual causes:
    - The run learns less than before: compare it with the last good one (lvmcheck compare).
    - The bound belongs to other data, another model or another unit (percent or share).
    - The metric is measured on another split or by another definition than the bound.

    Fix:
    Look at the curve: a metric that still rises needs more epochs; one that is flat below its bound needs another rate,
    model or data. Write bounds relative to a baseline of the data, so that they hold on other data, too.

    Healthy runs that must pass:
    A loss within its tolerance; a metric that starts low and ends high (ask at a later epoch, or at its best).

    Source:
    The suite that asks.
    """

    epoch: When = "final"
    at_least: float | str | None = None
    at_most: float | str | None = None
    abort_below: float | str | None = None
    abort_above: float | str | None = None
    tolerance: float = 0.0
    tolerance_percent: float = 0.0
    steps: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise BadValueError("at_least", "expected at_least, at_most or both, got neither")
        for key, beside, other in (("abort_below", "at_least", "at_most"), ("abort_above", "at_most", "at_least")):
            if getattr(self, key) is not None and (getattr(self, beside) is None or getattr(self, other) is not None):
                raise BadValueError(key, f"expected beside {beside} alone")
        check_number("tolerance", self.tolerance, 0.0)
        check_number("tolerance_percent", self.tolerance_percent, 0.0, 100.0)
        self.check_when()
        self._check_direction()
        _ = self.asked  # an expression that cannot be read is refused where it is asked for
        if self.steps is not None:
            first, last = self.steps
            if not 0 < first <= last:
                raise BadValueError("steps", f"expected [first, last] with 1 <= first <= last, got {list(self.steps)}")

    def _check_direction(self) -> None:
        """A floor alone under a loss, or a ceiling alone over an accuracy, is nearly always the wrong key."""
        direction = by_name(self.metric).direction
        if direction is Direction.LOWER and self.at_most is None:
            raise BadValueError("at_least", f"{self.metric} is better lower: expected at_most = {self.at_least!r}")
        if direction is Direction.HIGHER and self.at_least is None and self.epoch != "every":
            raise BadValueError("at_most", f"{self.metric} is better higher: expected at_least = {self.at_most!r}")

    @cached_property
    def asked(self) -> Mapping[str, tuple[BoundKind, Floor]]:
        stated = {key: getattr(self, key) for key in _KEYS}
        return {
            key: (_KEYS[key], parse_floor(key, value, names=None, limit=math.inf))
            for key, value in stated.items()
            if value is not None
        }

    def known(self, run: Run, epoch: int, /) -> Mapping[str, float]:
        numbers = {k: float(v) for k, v in run.facts.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        named = {name for _, parsed in self.asked.values() for _, name in parsed.parts if name}
        metrics = {name: run.series(name).at(epoch) for name in named if name in run.metric_names}
        found = {name: value for name, value in metrics.items() if value is not None}
        return {**{k: v for k, v in numbers.items() if math.isfinite(v)}, **baselines(run, self.metric), **found}

    def widened(self, number: float, kind: BoundKind) -> float:
        slack = self.tolerance + abs(number) * self.tolerance_percent / 100
        if kind is BoundKind.ABORT:
            return number
        return number - slack if kind is BoundKind.FLOOR else number + slack

    def detail(self) -> str:
        where = f"{self.steps[0]}-{self.steps[1]}" if self.steps else self.epoch
        return f"{self.metric}@{where}"

    def support(self, run: Run) -> tuple[Fact, ...]:
        return super().support(run) if by_name(self.metric).quantity is Quantity.COSINE else ()

    def judge(self, run: Run) -> Outcome:
        return super().judge(run) if self.steps is None else self._judge_steps(run, *self.steps)

    def _judge_steps(self, run: Run, first: int, last: int) -> Outcome:
        """The mean of what was recorded within these steps."""
        curves = run.curves
        role = by_name(self.metric)
        training = role.quantity is Quantity.LOSS and role.split is not Split.VALIDATION
        curve = curves.by_step.get(self.metric) or (curves.window_losses if training else None)
        if run.step < last and not run.over:
            return awaiting(run, f"{self.metric} until step {last:,}")
        if curve is None:
            return not_recorded(f"{self.metric} is not recorded by step")
        inside = curve.values[(curve.steps >= first) & (curve.steps <= last)]
        if not len(inside):
            return not_recorded(f"{self.metric} is not recorded between steps {first:,} and {last:,}")
        bounds = self.bounds(run, run.last_epoch)
        if isinstance(bounds, Outcome):
            return bounds
        value = float(np.mean(inside)) if not curve.missing else math.nan
        finding = Finding(code="over_steps", metric=self.metric, measured=value, bounds=bounds, step=last)
        return compared(finding, evaluated=len(inside))


_LOSS = run_from({"train_loss": made.lines(10, 2.3, 0.4), "val_loss": made.lines(10, 2.4, 0.48)})
_ACC = made.with_facts(run_from({"val_acc": made.lines(10, 55.0, 91.0)}), {"majority_share_percent": 60.0})
PASSES = (
    made.case("perfect_oracle", Metric(metric="val_loss", at_most=0.1), run_from({"val_loss": [0.0] * 3})),
    made.case("percent", Metric(metric="val_acc", at_least="majority_share_percent + 20"), _ACC, measured=91.0),
    made.case("beside_training", Metric(metric="val_loss", at_most="train_loss + 0.1", epoch="every"), _LOSS),
    made.case("within_tolerance", Metric(metric="val_loss", at_most=0.47, tolerance_percent=5.0), _LOSS, measured=0.48),
    made.case("over_steps", Metric(metric="train_loss", at_most=1.0, steps=(400, 500)), made.window_run([0.9] * 10)),
    made.case("best", Metric(metric="val_loss", at_most=0.5, epoch="best"), run_from({"val_loss": [0.9, 0.45, 0.8]})),
)
FAILS = (
    made.case("above", Metric(metric="val_loss", at_most=0.3), _LOSS, "at_epoch", 0.48, epoch=10),
    made.case("never_at_its_best", Metric(metric="val_acc", at_least=95, epoch="best"), _ACC, "best", 91.0),
    made.case("gap", Metric(metric="val_loss", at_most="1.1 * train_loss", epoch="every"), _LOSS, epoch=8),
    made.case("infinite", Metric(metric="val_loss", at_most=0.3), run_from({"val_loss": [-math.inf]}), "not_finite"),
    made.case("nan", Metric(metric="val_loss", at_most=0.3), run_from({"val_loss": [0.2, math.nan]})),
    made.case("steps", Metric(metric="train_loss", at_most=0.5, steps=(400, 500)), made.window_run([0.9] * 10)),
)
