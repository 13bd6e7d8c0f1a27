"""warm_up_ends: the warm-up of the learning rate ends within the run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

STEPS, HALF = 50, 0.5
NEVER, LARGEST = 0.1, 0.2
"""Share of the optimizer's own rate that no step reached, and the largest one that is a rate and not a factor."""


@dataclass(frozen=True, kw_only=True)
class WarmUpEnds(Watched):
    """A learning rate that rises at every measured step of a run of at least 50 steps has reached half of the
    optimizer's own rate when the run ends. A schedule that never reached a tenth of it fails, too, where that rate is
    at most 0.2: schedules that state the rate themselves begin with 1.

    Why:
    A warm-up that is longer than the run trains at a small part of the rate that was chosen, and looks like a model
    that learns slowly.

    Usual causes:
    - A warm-up in steps that was copied from a longer training, or counted in batches where the schedule counts steps.
    - Gradient accumulation, which divides the number of steps.

    Fix:
    Make the warm-up a few percent of the steps that the run really has.

    Healthy runs that must pass:
    Warm-ups that end; runs of fewer than 50 steps; a search for the rate that rises to its end.

    Source:
    This project's list of faults in training loops: warm-up too long.
    """

    event = "schedule"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if not of.get("over") or not of.get("scheduler_steps") or "share_of_base" not in of:
            return None
        if of.get("optimizer_steps", 0.0) < STEPS:
            return None
        unknown = any(map(math.isnan, of.values()))
        top = of["share_of_base"] / of["share_of_rate"] if of.get("share_of_rate", 0.0) > 0 else 1.0
        low = top < NEVER and of.get("base", 1.0) <= LARGEST
        never = low and not of.get("rises")
        reached = of["share_of_base"] if of.get("rises") else top if never else 1.0
        reached = math.nan if unknown else reached
        return Finding(
            code="never_warm" if never else "still_warming_up",
            measured=reached,
            bounds=(floor(HALF),),
            evidence=(Fact("optimizer_steps", of.get("optimizer_steps")),),
            phrase="no measured learning rate was above {measured} of its full value in {optimizer_steps} steps"
            if never
            else "the learning rate is still at {measured} of its full value when the run ends after "
            "{optimizer_steps} steps",
        )


_case = Cases(WarmUpEnds())
_DONE = {"scheduler_steps": 100, "optimizer_steps": 100, "over": 1.0, "rises": 0.0, "share_of_base": 0.1}
_NEVER = {**_DONE, "share_of_base": 0.01, "share_of_rate": 0.5, "base": 3e-3}
_WARM = {**_DONE, "rises": 1.0, "share_of_base": 0.03}
PASSES = (
    _case("perfect_oracle", [_DONE], measured=1.0),
    _case("constant_after_warm_up", [{**_WARM, "share_of_base": 1.0}]),
    _case("a_factor_that_is_the_rate", [{**_NEVER, "base": 1.0}]),
    _case("decayed", [{**_NEVER, "share_of_rate": 0.01}]),
    _case("a_short_trial", [{**_WARM, "optimizer_steps": 20}, _DONE]),
)
FAILS = (
    _case("decays_before_it_is_warm", [_NEVER], "never_warm", 0.02),
    _case("longer_than_the_run", [_WARM], "still_warming_up", 0.03),
    _case("not_a_number", [{**_WARM, "share_of_base": float("nan")}]),
)
