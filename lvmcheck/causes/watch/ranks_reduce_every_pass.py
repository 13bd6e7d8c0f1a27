"""ranks_reduce_every_pass: gradients are reduced in every pass of a step."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RanksReduceEveryPass(Cause):
    """Gradients are reduced in every pass of a step."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_reduce_once",),
            codes=("reduced_often",),
            phrase="every micro-batch reduces all gradients, and waits for every rank",
            fix="run all passes of a step but the last below model.no_sync()",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="well", run=case_run("rank_syncs", [{"ranks": 2.0, "passes": 4.0, "synced": 1.0}] * 3)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="measured",
        run=case_run("rank_syncs", [{"ranks": 2.0, "passes": 4.0, "synced": 4.0}] * 3),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
