"""ranks_miss_rows: no rank reads some of the rows."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RanksMissRows(Cause):
    """No rank reads some of the rows."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_cover_data",),
            codes=("rows_missing",),
            phrase="some rows are read by no rank, far more than dropping the last batch leaves out",
            fix="leave num_replicas and rank of DistributedSampler to the process group",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="well", run=case_run("rank_passes", [{"ranks": 2.0, "overlap": 0.0, "seen": 1.0}])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="measured",
        run=case_run("rank_passes", [{"ranks": 2.0, "overlap": 0.0, "seen": 0.5, "spare": 0.1}]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
