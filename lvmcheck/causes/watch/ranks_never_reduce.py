"""ranks_never_reduce: gradients are reduced in no pass of a step."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RanksNeverReduce(Cause):
    """Gradients are reduced in no pass of a step."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_reduce_once",),
            codes=("never_reduced",),
            explains=("ranks_agree",),
            phrase="no pass of a step reduces gradients: every rank trains a model of its own",
            fix="leave the last pass of a step outside of no_sync()",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="well", run=case_run("rank_syncs", [{"ranks": 2.0, "passes": 4.0, "synced": 1.0}] * 3)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="measured",
        run=case_run("rank_syncs", [{"ranks": 2.0, "passes": 4.0, "synced": 0.0}] * 3),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
