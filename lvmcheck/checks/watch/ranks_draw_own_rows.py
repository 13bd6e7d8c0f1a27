"""ranks_draw_own_rows: the ranks of data parallelism do not train on the same rows."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

MOST = 0.5


@dataclass(frozen=True, kw_only=True)
class RanksDrawOwnRows(Watched):
    """Of the steps that all ranks measure, no three in a row have a rank with more than half of its rows in the batch
    of rank 0.

    Why:
    Without a distributed sampler every rank reads the whole data set, often in the same order: k ranks cost k times
    as much as one, and compute the same gradient.

    Usual causes:
    - No DistributedSampler, or one that is not handed to the loader.
    - The rank is not part of the seed of a loader that shuffles by itself.

    Fix:
    ``DataLoader(data, sampler=DistributedSampler(data))``, and ``sampler.set_epoch(epoch)`` before every epoch.

    Healthy runs that must pass:
    Rows that fill up the last batch; a few rows by chance where ranks draw independently.

    Source:
    This project's list of faults in training loops: ranks that see the same rows.
    """

    event = "rank_rows"
    streak = 3

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="same_rows",
            measured=event.values.get("same"),
            bounds=(ceiling(MOST),),
            evidence=(Fact("ranks", event.values.get("ranks")),),
            phrase="share of a rank's rows that rank 0 reads at the same step {measured}",
        )


def _run(*same: float) -> list[dict[str, float]]:
    return [{"ranks": 2.0, "same": value} for value in same]


_case = Cases(RanksDrawOwnRows())
PASSES = (_case("perfect_oracle", _run(0.0, 0.0, 0.0)), _case("filled_up", _run(0.0, 0.0, 1.0, 0.06)))
FAILS = (
    _case("no_sampler", _run(1.0, 1.0, 1.0), "same_rows", 1.0, over=False, step=3),
    _case("not_a_number", _run(*[float("nan")] * 3)),
)
