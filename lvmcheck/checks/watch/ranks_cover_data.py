"""ranks_cover_data: in an epoch the ranks together read each row about once."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling, floor
from lvmcheck.checks.finding import Fact, Finding, Status
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

MOST = 0.05
LEAST = 0.9
"""Share of the data set, beside a last batch of each rank that may be dropped."""


@dataclass(frozen=True, kw_only=True)
class RanksCoverData(Watched):
    """In the first epoch no rank reads more than a twentieth of its rows that another reads too, and together they
    read nine tenths of the data set (whose size is known where its loader is watched) but for a last batch each.

    Why:
    Rows that every rank reads make an epoch of k ranks k epochs long, and the schedule that counts epochs wrong; rows
    that none reads are not trained on at all.

    Usual causes:
    - Each rank shuffles the whole data set by a seed of its own.
    - An IterableDataset that does not split itself between ranks and workers.
    - A DistributedSampler whose num_replicas is not the number of ranks.

    Fix:
    Cut the data once: ``DataLoader(data, sampler=DistributedSampler(data))``, which asks the process group.

    Healthy runs that must pass:
    Rows that fill up the last batch; a last batch that is dropped; an epoch of which the first batches are seen.

    Source:
    This project's list of faults of several ranks: overlapping or missing rows.
    """

    event = "rank_passes"
    mild = True

    def look(self, event: Watch) -> Finding:
        of = event.values
        seen, spare = of.get("seen"), of.get("spare", 0.0)
        overlap = of.get("overlap", float("nan"))
        facts = (Fact("ranks", of.get("ranks")), Fact("share_read", seen))
        if seen is not None and overlap <= MOST:
            return Finding(
                code="rows_missing",
                measured=seen,
                bounds=(floor(LEAST - spare),),
                evidence=facts,
                phrase="{ranks} ranks together read {measured} of the data set in an epoch",
            )
        return Finding(
            code="rows_overlap",
            measured=overlap,
            bounds=(ceiling(MOST),),
            evidence=facts,
            phrase="share of a rank's rows in an epoch that another rank reads too {measured}",
        )


def _run(**values: float) -> Run:
    return case_run("rank_passes", [{"ranks": 2.0, "overlap": 0.0, "rows": 64.0, **values}])


_case = made.Cases(RanksCoverData())
PASSES = (
    _case("perfect_oracle", _run(seen=1.0, spare=0.1)),
    _case("filled_up", _run(overlap=0.03, seen=1.0, spare=0.1)),
    _case("last_batch_dropped", _run(seen=0.8, spare=0.25)),
    _case("size_not_known", _run()),
)
FAILS = (
    _case("all_read_all", _run(overlap=1.0, seen=1.0), "rows_overlap", 1.0, status=Status.WARNING),
    _case("cut_twice", _run(seen=0.5, spare=0.1), "rows_missing", 0.5, status=Status.WARNING),
    _case("not_a_number", _run(overlap=float("nan")), status=Status.WARNING),
)
