"""ranks_report_their_own: every rank reports the metrics of its own part."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RanksReportTheirOwn(Cause):
    """Every rank reports the metrics of its own part."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_report_alike",),
            phrase="what is recorded is the metric of one rank's rows",
            fix="reduce sums and counts (rec.reduce(val_loss=(sum, rows))); in Lightning self.log(..., sync_dist=True)",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="well", run=case_run("rank_metrics", [{"ranks": 2.0, "apart": 0.0}] * 3, ["val_loss"])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="measured",
        run=case_run("rank_metrics", [{"ranks": 2.0, "apart": 0.2}] * 3, ["val_loss"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
