"""ranks_schedule_once: the scheduler is stepped once for a step of all ranks, not once for each rank."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Status
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

FROM = 10.0


@dataclass(frozen=True, kw_only=True)
class RanksScheduleOnce(Watched):
    """A schedule of known length that is stepped as often as there are ranks for each optimizer step is not at its end
    while training goes on.

    Why:
    The rate has then reached its end when a k-th of the training is done, and the rest is trained at none.

    Usual causes:
    - Accelerate steps a prepared scheduler once for each process: one whose length counts steps of all ranks together
      must not be prepared, or must be k times as long.
    - scheduler.step() in a loop over ranks.

    Fix:
    Leave the scheduler out of accelerator.prepare, or make it ranks times as long.

    Healthy runs that must pass:
    One call for each step; k calls where the schedule is k times as long.

    Source:
    This project's list of faults of several ranks: scheduler stepped once per rank.
    """

    event = "rank_schedule"
    mild = True

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        ranks, calls, steps = (of.get(name, float("nan")) for name in ("ranks", "calls", "steps"))
        horizon = of.get("horizon", float("nan"))
        if steps < FROM or abs(calls - ranks * steps) > 0.05 * ranks * steps:
            return None
        return Finding(
            code="stepped_by_every_rank",
            measured=calls,
            bounds=(ceiling(1.05 * horizon),),
            evidence=(Fact("ranks", ranks), Fact("optimizer_steps", steps), Fact("horizon", horizon)),
            phrase="scheduler stepped {measured} times in {optimizer_steps} steps of {ranks} ranks, made for {horizon}",
        )


def _run(calls: float, horizon: float) -> Run:
    return case_run("rank_schedule", [{"ranks": 2.0, "calls": calls, "steps": 40.0, "horizon": horizon}])


_case = made.Cases(RanksScheduleOnce())
PASSES = (_case("perfect_oracle", _run(80.0, 80.0)), _case("longer_than_it_ran", _run(80.0, 800.0)))
FAILS = (
    _case("over_at_half", _run(80.0, 40.0), "stepped_by_every_rank", 80.0, status=Status.WARNING),
    _case("not_a_number", _run(80.0, float("nan")), status=Status.WARNING),
)
