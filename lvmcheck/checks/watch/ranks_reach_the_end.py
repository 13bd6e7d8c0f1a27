"""ranks_reach_the_end: no rank is gone, or stands still, before the others end."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class RanksReachTheEnd(Watched):
    """When rank 0 ends, every rank that was heard still runs or has ended well; when rank 0 has failed, none is behind
    it by more than a step.

    Why:
    Rank 0 fails with "connection closed" or a time-out of a collective: the rank that died, or waits elsewhere, is
    another one.

    Usual causes:
    - One rank raised, was killed for its memory, or lost its machine.
    - One rank leaves out a collective: a batch less, a branch of its own, an early stop of its own.

    Fix:
    Read the output of that rank. Give every rank the same number of batches, and let all of them decide together.

    Healthy runs that must pass:
    Ranks that end a moment later; ranks of another machine, whose processes cannot be seen.

    Source:
    This project's list of faults of several ranks: a rank that died or hangs.
    """

    event = "rank_ends"

    def look(self, event: Watch) -> Finding:
        of = event.values
        rank = Fact("rank", of.get("rank"))
        behind = of.get("behind", float("nan"))
        lost = of.get("gone", 0.0) + of.get("failed", 0.0)
        if not lost <= 0:
            return Finding(
                code="rank_failed" if of.get("failed") else "rank_gone",
                measured=lost,
                bounds=(ceiling(0.0),),
                evidence=(rank, Fact("behind", behind)),
                phrase="rank {rank} exited before the run ended, {behind} steps behind",
            )
        late = behind if of.get("rank_0_failed") or behind != behind else 0.0
        return Finding(
            code="rank_behind",
            measured=late,
            bounds=(ceiling(1.0),),
            evidence=(rank,),
            phrase="rank {rank} hung {measured} steps behind when rank 0 failed",
        )


def _run(**values: float) -> Run:
    whole = {"rank": 1.0, "behind": 0.0, "failed": 0.0, "ended": 1.0, "gone": 0.0, "rank_0_failed": 0.0, **values}
    return case_run("rank_ends", [whole])


_case = made.Cases(RanksReachTheEnd())
PASSES = (
    _case("perfect_oracle", _run()),
    _case("a_moment_later", _run(ended=0.0, behind=2.0)),
    _case("one_step_behind", _run(ended=0.0, behind=1.0, rank_0_failed=1.0)),
)
FAILS = (
    _case("killed", _run(ended=0.0, gone=1.0, behind=1.0), "rank_gone", 1.0, rank=1.0),
    _case("raised", _run(failed=1.0), "rank_failed", 1.0),
    _case("waits_elsewhere", _run(ended=0.0, behind=7.0, rank_0_failed=1.0), "rank_behind", 7.0),
    _case("not_a_number", _run(behind=float("nan"))),
)
