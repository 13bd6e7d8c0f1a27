"""scheduler_steps: the scheduler is stepped, at the pace it was made for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lvmcheck.checks.bounds import Bound, ceiling, floor
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, warning
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

COSINE, CYCLES = "CosineAnnealingLR", 3
"""A schedule that goes up again after its steps, and times that it does before that is told."""
EXACT = 0.02
"""How near the length of a schedule is to the steps of a run whose batches it counts."""


PER_BATCH, EPOCHS = 0.9, 2
"""Calls for each optimizer step that are one per batch, and epochs that it takes to say so."""


@dataclass(frozen=True, kw_only=True)
class SchedulerSteps(Watched):
    """The scheduler has been stepped by the end of the second epoch (or by 1,000 steps, or the end of watching after
    20); a cosine is not stepped per batch past the steps that it was made for, nor per epoch when it was made for
    batches; a plateau scheduler is not stepped per batch with a patience of less than half an epoch. One that goes
    down and up again three times within the run warns: it may be meant.

    Why:
    A schedule that is never stepped is a constant rate; one that is stepped per batch instead of per epoch is over,
    or begins again, before the first epoch ends; one that is stepped twice an epoch goes up again in the middle.

    Usual causes:
    - scheduler.step() is missing, or belongs to another optimizer.
    - T_max is in epochs and step is called per batch, or the other way round.

    Fix:
    Call scheduler.step() once for each unit that T_max (or total_steps) counts.

    Healthy runs that must pass:
    One call per epoch, with epochs in T_max; warm-up that is over early; cosines with restarts; plateau schedulers.
    """

    event = "schedule"

    def decide(self, run: Run) -> Outcome:
        outcome = super().decide(run)
        again = outcome.status is Status.FAILED and outcome.finding
        return warning(again, evaluated=outcome.evaluated) if again and again.code == "goes_up_again" else outcome

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        calls, steps = of.get("scheduler_steps", float("nan")), of.get("optimizer_steps", 0.0)
        late = of.get("epochs", 0) >= 2 or steps >= 1000 or (of.get("over", 0.0) and steps >= 20)
        horizon = of.get("horizon", float("nan"))
        if any(map(math.isnan, of.values())):
            calls, late = math.nan, True
        code = "never_stepped"
        bounds: tuple[Bound, ...] = (floor(1),)
        if _plateau_per_batch(event):
            code, bounds = "stepped_per_batch", (floor(1), ceiling(of.get("epochs", 0.0) + 1))
        elif _goes_up_again(event):
            code, bounds = "goes_up_again", (floor(1), ceiling(horizon))
        elif calls >= 1 and horizon == horizon and steps >= 2 * horizon:
            per_batch = calls >= 0.9 * steps
            code = "stepped_per_batch" if per_batch else "stepped_per_epoch"
            # A cosine of some hundred steps that ends after a twentieth of its steps was made for batches.
            bounds = (floor(1), ceiling(1.5 * horizon)) if per_batch else (floor(min(calls, horizon / 20)),)
            epochs = of.get("epochs", 0)
            if epochs >= 2 and 2 * epochs <= calls < 0.5 * steps and calls > 1.5 * horizon:
                code, bounds = "stepped_twice", (floor(1), ceiling(1.5 * horizon))
        elif _once_an_epoch(of) and abs(horizon - steps) <= EXACT * steps:
            code, bounds = "stepped_per_epoch", (floor(horizon / 20),)
        elif not late and calls == 0:
            return None
        return Finding(
            code=code,
            measured=calls,
            bounds=bounds,
            evidence=(
                *names(event, "scheduler"),
                Fact("optimizer_steps", steps),
                Fact("horizon", None if horizon != horizon else horizon),
                Fact("share_of_highest_rate", of.get("share_of_rate")),
            ),
            phrase="scheduler stepped {measured} times in {optimizer_steps} optimizer steps",
        )


def _goes_up_again(event: Watch) -> bool:
    """Whether a cosine without restarts, stepped once an epoch, is through several times when the run ends."""
    of = event.values
    horizon = of.get("horizon", math.nan)
    cosine = bool(of.get("over")) and event.subjects == (COSINE,)
    return cosine and CYCLES * horizon <= of.get("scheduler_steps", 0.0) <= of.get("epochs", 0.0) + 1


def _plateau_per_batch(event: Watch) -> bool:
    """Whether a plateau is looked for from batch to batch, with a patience of less than half an epoch."""
    of, steps = event.values, event.values.get("optimizer_steps", 0.0)
    often = of.get("scheduler_steps", 0.0) >= PER_BATCH * steps and of.get("epochs", 0.0) >= EPOCHS
    return often and 2 * of.get("patience", math.inf) * of.get("epochs", 0.0) < steps


def _once_an_epoch(of: Mapping[str, float]) -> bool:
    """Whether a run that is over stepped its scheduler once an epoch."""
    return bool(of.get("over")) and 2 <= of.get("scheduler_steps", 0.0) <= of.get("epochs", 0.0) + 1


_case = Cases(SchedulerSteps())
_RUN = {"scheduler_steps": 2.0, "optimizer_steps": 40.0, "epochs": 2.0, "share_of_rate": 0.9, "over": 0.0}
PASSES = (
    _case("perfect_oracle", [_RUN] * 2, subjects=["StepLR"]),
    _case("first_epoch", [{**_RUN, "scheduler_steps": 0, "epochs": 1}, _RUN], subjects=["StepLR"]),
    _case("cosine_over_batches", [{**_RUN, "scheduler_steps": 40, "horizon": 40}]),
    _case(
        "a_shorter_trial_of_a_long_schedule",
        [{**_RUN, "scheduler_steps": 8, "optimizer_steps": 176, "epochs": 8, "horizon": 200, "over": 1.0}],
    ),
    _case("patience_of_an_epoch", [{**_RUN, "scheduler_steps": 40, "patience": 20}], subjects=["ReduceLROnPlateau"]),
    _case("cosine_over_epochs", [{**_RUN, "horizon": 10}]),
    _case(
        "cosine_that_goes_up_again",
        [{**_RUN, "scheduler_steps": 14, "optimizer_steps": 140, "epochs": 14, "horizon": 8}],
    ),
)
FAILS = (
    _case(
        "plateau_of_batches",
        [{**_RUN, "scheduler_steps": 40, "patience": 3}],
        "stepped_per_batch",
        40,
        subjects=["ReduceLROnPlateau"],
    ),
    _case("never", [{**_RUN, "scheduler_steps": 0}], "never_stepped", 0, subjects=["StepLR"]),
    _case(
        "cosine_over_epochs_stepped_per_batch",
        [{**_RUN, "scheduler_steps": 40, "horizon": 12}],
        "stepped_per_batch",
        40,
        horizon=12,
    ),
    _case(
        "twice_an_epoch",
        [{**_RUN, "scheduler_steps": 14, "optimizer_steps": 70, "epochs": 7, "horizon": 8}],
        "stepped_twice",
        14,
        horizon=8,
    ),
    _case(
        "as_long_as_the_steps_and_stepped_per_epoch",
        [{**_RUN, "scheduler_steps": 8, "optimizer_steps": 176, "epochs": 8, "horizon": 176, "over": 1.0}],
        "stepped_per_epoch",
        8,
    ),
    _case(
        "down_and_up_four_times",
        [{**_RUN, "scheduler_steps": 8, "optimizer_steps": 176, "epochs": 8, "horizon": 2, "over": 1.0}],
        "goes_up_again",
        subjects=[COSINE],
        status=Status.WARNING,
    ),
    _case("not_a_number", [{**_RUN, "scheduler_steps": float("nan")}]),
)
