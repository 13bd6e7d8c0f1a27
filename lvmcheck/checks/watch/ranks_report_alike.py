"""ranks_report_alike: all ranks report the same metrics of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Status
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run, names
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

MOST = 1e-3


@dataclass(frozen=True, kw_only=True)
class RanksReportAlike(Watched):
    """Metrics of an evaluation that every rank reports of the same epoch differ by no more than a thousandth, twice in
    a row.

    Why:
    What rank 0 records is then the score of its own part of the data: it jumps by chance, early stopping and the best
    checkpoint follow it, and ranks that decide by their own score part ways.

    Usual causes:
    - Metrics of a part of the rows that are not reduced (Lightning: ``sync_dist=True`` is missing).
    - Ranks that hold different weights.

    Fix:
    ``rec.epoch(epoch, **rec.reduce(val_loss=(sum, rows)))``: sums and counts are added up over ranks.

    Healthy runs that must pass:
    Metrics that all ranks reduce, or compute on all rows; metrics that rank 0 alone reports.

    Source:
    This project's list of faults of several ranks: metrics averaged wrongly.
    """

    event = "rank_metrics"
    streak = 2
    mild = True

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="metrics_differ",
            measured=event.values.get("apart"),
            bounds=(ceiling(MOST),),
            evidence=(Fact("ranks", event.values.get("ranks")), *names(event, "reported")),
            phrase="{reported} differs by {measured} (relative) between {ranks} ranks",
        )


def _run(*apart: float) -> Run:
    return case_run("rank_metrics", [{"ranks": 2.0, "apart": value} for value in apart], ["val_loss"])


_case = made.Cases(RanksReportAlike())
PASSES = (_case("perfect_oracle", _run(0.0, 0.0)), _case("rounding", _run(1e-6, 1e-5, 1e-6)))
FAILS = (
    _case("each_its_own", _run(0.04, 0.09), "metrics_differ", 0.09, status=Status.WARNING),
    _case("not_a_number", _run(float("nan"), float("nan")), status=Status.WARNING),
)
