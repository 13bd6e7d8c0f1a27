"""loss_is_optimised: the loss that is reported is the one that is differentiated, not a fraction of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed, pending
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.checks.watch._watched import Watched, case_run, watched
from lvmcheck.run.events import MODELS, Watch, Window
from lvmcheck.run.view import Run

NEAR = 0.02
"""Relative distance to a whole multiple."""
SEEN = 5


@dataclass(frozen=True, kw_only=True)
class LossIsOptimised(Watched):
    """Where a step has several backward passes, their losses do not add up to the reported loss times their number, in
    five measured steps in a row.

    Why:
    A loss that is reported as the mean over the parts of a batch and differentiated as their sum has gradients that
    are as many times too large: clipping acts on other norms, and the rate is another one.

    Usual causes:
    - loss.backward() for each part without dividing by the number of parts.
    - A division that was left in the report alone.

    Fix:
    Divide the loss of each part by the number of parts before backward.

    Healthy runs that must pass:
    Losses divided by the number of parts; sums that are reported as sums; terms with a backward pass of their own;
    several models that are watched; losses that are not reported by step.

    Source:
    This project's list of faults in training loops: accumulation not scaled.
    """

    event = "objective"

    def decide(self, run: Run) -> Outcome:
        if any(event.name == MODELS for event in run.of(Watch)):
            return not_recorded("several models are watched, each with its own loss")
        reported = {w.last_step: w.loss_mean for w in run.windows if w.first_step == w.last_step}
        met, in_row = None, 0
        pairs = [(event, reported.get(_step_of(event))) for event in watched(run, self.event)]
        seen = sum(loss is not None for _, loss in pairs)
        for event, loss in pairs:
            if loss is None:
                continue
            found = self._finding(event, loss)
            met, in_row = (found, 0) if found.met else (met, in_row + 1)
            if in_row >= SEEN:
                return failed(found, evaluated=seen)
        if not complete(run):
            return pending("the end of the run", evaluated=seen)
        if seen < SEEN or met is None:
            return not_recorded(f"{seen} measured steps with several backward passes and a reported loss")
        return passed(met, evaluated=seen)

    def _finding(self, event: Watch, loss: float) -> Finding:
        parts, whole = event.values.get("backwards", math.nan), event.values.get("sum", math.nan)
        known = bool(loss) and not any(map(math.isnan, event.values.values()))
        ratio = whole / loss if known else 1.0 if whole == loss else math.nan
        summed = not abs(ratio / parts - 1) > NEAR if parts else True
        return Finding(
            code="summed",
            measured=ratio if summed else 1.0,
            bounds=(ceiling(1.5),),
            step=event.step,
            evidence=(Fact("backwards", parts), Fact("reported", loss), Fact("differentiated", whole)),
            phrase="the losses of {backwards} backward passes add up to {measured} times the reported loss",
        )


def _step_of(event: Watch) -> int:
    """The step as the loop counts it."""
    recorded = event.values.get("recorded", math.nan)
    return int(recorded) + 1 if math.isfinite(recorded) else event.step


def _run(factor: float, steps: int = 6, parts: int = 4, reported: float = 2.0) -> Run:
    run = case_run("objective", [{"backwards": parts, "recorded": i, "sum": factor * reported} for i in range(steps)])
    windows = [
        Window(epoch=1, first_step=i, last_step=i, loss_mean=reported, loss_min=reported, loss_max=reported)
        for i in range(1, steps + 1)
    ]
    return run.extended(windows)


_case = made.Cases(LossIsOptimised())
PASSES = (
    _case("perfect_oracle", _run(1.0), measured=1.0),
    _case("terms_with_passes_of_their_own", _run(2.6)),
    _case("a_loss_of_zero", _run(4.0, reported=0.0), measured=1.0),
)
FAILS = (
    _case("never_divided", _run(4.0), "summed", 4.0, step=5, backwards=4),
    _case("not_a_number", _run(float("nan"))),
)
