"""ranks_reduce_once: gradients are reduced once for each step."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling, floor
from lvmcheck.checks.finding import Fact, Finding, Status
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class RanksReduceOnce(Watched):
    """Where DistributedDataParallel trains with several passes to a step, the last one reduces gradients over the
    ranks, and no other does, in three measured steps in a row.

    Why:
    Without ``no_sync`` every micro-batch waits for all ranks and sends all gradients, of which only the sum counts;
    with it around every pass, gradients never meet.

    Usual causes:
    - Gradients are accumulated without no_sync.
    - no_sync is around the last pass, too.

    Fix:
    Run all passes of a step but the last below ``model.no_sync()``, forward and backward.

    Healthy runs that must pass:
    One pass to a step; several, of which the last one reduces.

    Source:
    This project's list of faults of several ranks: accumulation without no_sync accounted for.
    """

    event = "rank_syncs"
    streak = 3
    mild = True

    def look(self, event: Watch) -> Finding:
        of = event.values
        synced, passes = of.get("synced", float("nan")), of.get("passes", 1.0)
        return Finding(
            code="never_reduced" if synced < 1 else "reduced_often",
            measured=synced,
            bounds=(floor(1.0), ceiling(1.0)),
            evidence=(Fact("passes", passes), Fact("ranks", of.get("ranks"))),
            phrase="gradients are all-reduced in {measured} of {passes} backward passes of a step",
        )


def _run(synced: float, passes: float) -> Run:
    return case_run("rank_syncs", [{"ranks": 2.0, "passes": passes, "synced": synced}] * 3)


_case = made.Cases(RanksReduceOnce())
PASSES = (_case("perfect_oracle", _run(1.0, 1.0)), _case("the_last_of_four", _run(1.0, 4.0)))
FAILS = (
    _case("every_pass", _run(4.0, 4.0), "reduced_often", 4.0, status=Status.WARNING),
    _case("no_pass", _run(0.0, 4.0), "never_reduced", 0.0, status=Status.WARNING),
    _case("not_a_number", _run(float("nan"), 4.0), status=Status.WARNING),
)
