"""ranks_keep_pace: no rank makes the others wait for it all the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

MOST = 1.5
SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class RanksKeepPace(Watched):
    """Loading data and the forward pass take the slowest rank no more than one and a half times as long as the fastest
    one, or the difference is less than a tenth of the time, at three looks in a row.

    Why:
    In data parallelism all ranks wait for the slowest one in every step: one slow disk, or one hot device, is paid for
    by all.

    Usual causes:
    - A loader with fewer workers, or a slower disk, on one machine.
    - Ranks with much longer rows than others.
    - A device that is throttled, or shared with another job.

    Fix:
    Look at that rank's loader first (``num_workers``), then at its device and at the length of its rows.

    Healthy runs that must pass:
    Ranks that are slow in turn; work that is much shorter than the step. On an accelerator the forward pass is only
    begun in this time, so it is the loader that is seen.

    Source:
    This project's list of faults of several ranks: a slow rank.
    """

    event = "rank_pace"
    streak = 3
    mild = True

    def look(self, event: Watch) -> Finding:
        of = event.values
        slower = of.get("slower", float("nan"))
        short = of.get("share", 1.0) < SHARE
        return Finding(
            code="one_is_slower",
            measured=1.0 if short else slower,
            bounds=(ceiling(MOST),),
            evidence=(Fact("rank", of.get("rank")), Fact("ranks", of.get("ranks")), Fact("share", of.get("share"))),
            phrase="rank {rank} works {measured} times as long as the fastest rank before it waits for the others",
        )

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        """Only a rank that is the slowest again and again makes the others wait."""
        before = None
        steady = []
        for event in events:
            rank = event.values.get("rank")
            changed = before is not None and rank != before
            steady.append(replace(event, values={**event.values, "slower": 1.0}) if changed else event)
            before = rank
        return super().decide_on(run, steady)


def _run(*slower: float, ranks: Sequence[float] = (1.0, 1.0, 1.0), share: float = 0.4) -> Run:
    values = zip(slower, ranks, strict=True)
    return case_run("rank_pace", [{"ranks": 2.0, "slower": s, "rank": r, "share": share} for s, r in values])


_case = made.Cases(RanksKeepPace())
PASSES = (
    _case("perfect_oracle", _run(1.0, 1.0, 1.0)),
    _case("in_turn", _run(3.0, 3.0, 3.0, ranks=(0.0, 1.0, 0.0))),
    _case("short_work", _run(3.0, 3.0, 3.0, share=0.02)),
)
FAILS = (
    _case("slow_loader", _run(4.0, 5.0, 6.0), "one_is_slower", 6.0, rank=1.0, status=Status.WARNING),
    _case("not_a_number", _run(*[float("nan")] * 3), status=Status.WARNING),
)
