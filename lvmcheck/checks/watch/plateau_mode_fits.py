"""plateau_mode_fits: ReduceLROnPlateau waits for its metric to get better, not worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, passed, pending
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.curves import Curve
from lvmcheck.run.events import Epoch, Watch
from lvmcheck.run.roles import Direction
from lvmcheck.run.view import Run

CLOSE = 1e-6
"""Relative difference below which the scheduler's best value is one that was recorded."""


@dataclass(frozen=True, kw_only=True)
class PlateauModeFits(Watched):
    """The ``mode`` of a ReduceLROnPlateau is "min" where lower is better of the metric whose value it holds as its
    best, and "max" where higher is. A whole number, and a value that no metric, or metrics of both directions, recorded
    decide nothing.

    Why:
    With the wrong mode every improvement counts as a bad epoch: the learning rate falls while the model learns, and
    stays while it does not.

    Usual causes:
    - The default mode "min" with an accuracy.
    - mode="max" kept when the metric became a loss.

    Fix:
    Set mode to the direction of the metric that scheduler.step is given.

    Healthy runs that must pass:
    A loss with "min", an accuracy or reward with "max"; a negative loss; a metric that is not recorded.

    Source:
    This project's list of faults in training loops: schedule wrongly stepped.
    """

    event = "plateau"

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        if not run.over:
            return pending("the end of the run")
        if not events:
            return not_recorded("no ReduceLROnPlateau was watched")
        finding = next((found for event in reversed(events) if (found := self._finding(run, event))), None)
        if finding is None:
            return not_applicable("no ReduceLROnPlateau holds a recorded value as its best")
        if not finding.met:
            return failed(finding, evaluated=1)
        return passed(finding, evaluated=1) if complete(run) else pending("the end of the run")

    def _finding(self, run: Run, event: Watch) -> Finding | None:
        best, upward = event.values.get("best", math.nan), event.values.get("max") == 1.0
        curves = (*run.curves.evaluations, *((run.curves.train,) if run.curves.train is not None else ()))
        if not math.isfinite(best) or best == round(best):
            return None  # a 0 or a 1 may be that of any metric
        known = [curve for curve in curves if curve.role.direction is not Direction.UNKNOWN and _holds(curve, best)]
        if len({curve.role.direction for curve in known}) != 1:
            return None
        wrong = (known[0].role.direction is Direction.HIGHER) is not upward
        return Finding(
            code="mode_reversed" if wrong else "fits",
            metric=known[0].name,
            measured=float(wrong),
            bounds=(equal(0),),
            step=event.step,
            evidence=(Fact("best", best), Fact("mode", "max" if upward else "min")),
            phrase='ReduceLROnPlateau keeps {metric} {best} as its best with mode="{mode}"',
        )


def _holds(curve: Curve, best: float) -> bool:
    return any(abs(value - best) <= CLOSE * max(abs(best), 1e-12) for value in curve.values.tolist())


_case = made.Cases(PlateauModeFits())


def _run(mode_is_max: float, *best: float, **metrics: Sequence[float]) -> Run:
    rows = [dict(zip(metrics, values, strict=True)) for values in zip(*metrics.values(), strict=True)]
    epochs = tuple(Epoch(epoch=n, step=10 * n, metrics=row, seconds=1.0) for n, row in enumerate(rows, 1))
    told = case_run("plateau", [{"max": mode_is_max, "best": value} for value in reversed(best)])
    return replace(told, events=(*epochs, *told.events))


_FALLS, _RISES = (0.9, 0.7, 0.5, 0.45), (0.4, 0.6, 0.7, 0.72)
PASSES = (
    _case("perfect_oracle", _run(0, 0.45, val_loss=_FALLS), measured=0.0),
    _case("accuracy_with_max", _run(1, 0.72, val_loss=_FALLS, val_accuracy=_RISES), measured=0.0),
    _case("a_value_of_both", _run(1, 0.7, 0.72, val_loss=_FALLS, val_accuracy=_RISES), measured=0.0),
    _case("a_whole_number", _run(1, 1.0, 0.72, val_loss=(1.0, 0.5), val_accuracy=(0.7, 0.72)), measured=0.0),
    _case("what_is_not_recorded", _run(1, 0.123, 0.72, val_accuracy=_RISES), measured=0.0),
)
FAILS = (
    _case("max_of_a_loss", _run(1, 0.9, val_loss=_FALLS), "mode_reversed", mode="max"),
    _case("min_of_an_accuracy", _run(0, 0.4, val_loss=_FALLS, val_accuracy=_RISES), "mode_reversed"),
)
