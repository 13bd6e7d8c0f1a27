"""ranks_see_same_rows: all ranks train on the same rows."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RanksSeeSameRows(Cause):
    """All ranks train on the same rows."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_draw_own_rows",),
            explains=("ranks_cover_data",),
            phrase="all ranks read the same rows: k ranks compute the gradient of one",
            fix="hand DistributedSampler(data) to the loader of each rank, and call its set_epoch before every epoch",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="own", run=case_run("rank_rows", [{"ranks": 2.0, "same": 0.0}] * 4)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="no_sampler",
        run=case_run("rank_rows", [{"ranks": 2.0, "same": 1.0}] * 3),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
