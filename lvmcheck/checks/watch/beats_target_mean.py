"""beats_target_mean: a regression says more of its targets than their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, not_recorded, pending
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import LEVELS
from lvmcheck.checks.watch._levels import beside_recorded, recorded_level
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run, run_from

STEPS, VALUES, LEFT = 200, 2000, 0.995
"""Optimizer steps and values of targets from which it is judged, and share of the variance that is left."""
ALIKE, FALLS, LEAST = 0.1, 0.01, 1e-8
"""How near the recorded loss is to the measured one, share of the variance that it falls by in a quarter, and smallest
variance."""


@dataclass(frozen=True, kw_only=True)
class BeatsTargetMean(Watched):
    """After 200 steps the recorded loss, where it is a plain mean squared error and no longer falls, is below 0.995
    times the variance of its targets, or a validation loss is.

    Why:
    Whoever answers with the mean of the targets has the variance as error. A model that ends there has learned nothing
    of its inputs, whatever the curve did before.

    Usual causes:
    - The targets are drawn anew, or belong to other rows.
    - The inputs are constant, or the graph between them and the output is cut.

    Fix:
    Overfit one batch of 8 rows. Where that works, print five inputs beside their targets.

    Healthy runs that must pass:
    Weak signals that explain one percent of the variance; rewards; a model with much dropout, which is better in
    evaluation; a run that still falls.

    Source:
    Definition of the coefficient of determination: at 0 the mean is as good.
    """

    event = "target_variance"
    exempt = LEVELS

    def look(self, event: Watch) -> Finding | None:  # noqa: ARG002
        return None  # it needs the recorded loss, see decide_on

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        if not run.over:
            return pending("the end of the run")
        found = _against(run, events[-1]) if events and not run.curves.rewards else None
        if found is None:
            return not_recorded(
                f"no plain squared error beside its recorded loss that no longer falls, in {STEPS} steps"
            )
        limit = LEFT * events[-1].values["variance"]
        return beside_recorded(run, events, found, limit)


def _against(run: Run, event: Watch) -> Finding | None:
    of, level = event.values, recorded_level(run)
    variance, seen = of.get("variance", math.nan), of.get("loss", math.nan)
    if (
        level is None
        or "left" not in of
        or run.step < STEPS
        or of.get("values", math.nan) < VALUES
        or variance <= LEAST
    ):
        return None
    loss, earlier, error = level
    if abs(seen - loss) > ALIKE * abs(loss) or earlier - loss > FALLS * variance or error > FALLS * variance:
        return None  # another measure, or it still falls, or it is too noisy to say
    return Finding(
        code="at_the_mean",
        measured=math.nan if any(map(math.isnan, of.values())) else of.get("left"),
        bounds=(ceiling(LEFT),),
        step=run.step,
        evidence=(Fact("loss", loss), Fact("variance", variance), Fact("values", of.get("values"))),
        phrase="{measured} of the variance of the targets is left at last, where their mean alone leaves 1",
    )


_case = made.Cases(BeatsTargetMean())
_NOISE = {"variance": 1.0, "values": 40000.0, "left": 1.002}


def _run(losses: Sequence[float], values: Mapping[str, float] = _NOISE, **curves: list[float]) -> Run:
    """A run of 20 windows of 20 steps that end at the last of these losses."""
    said = case_run("target_variance", [{"loss": losses[-1], **values}])
    windows = made.window_run(made.lines(20, *losses), steps=20, per_epoch=20)
    return windows.extended([*said.events, *(run_from(curves).events if curves else ())])


PASSES = (
    _case("perfect_oracle", _run([1.2, 0.01, 0.01], {**_NOISE, "left": 0.01})),
    _case("weak_signal", _run([1.1, 0.985, 0.985], {**_NOISE, "left": 0.985})),
    _case("dropout", _run([1.2, 1.01, 1.01], val_loss=[1.0, 0.9, 0.9])),
)
FAILS = (
    _case("targets_drawn_anew", _run([1.1, 1.0, 1.0]), "at_the_mean", variance=1.0),
    _case("validation_as_bad", _run([1.3, 1.0, 1.0], val_loss=[1.2, 1.05, 1.01]), "at_the_mean"),
    _case("not_a_number", _run([1.1, 1.0, 1.0], {**_NOISE, "loss": math.nan})),
)
