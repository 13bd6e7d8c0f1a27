"""ranks_normalise_few_rows: batch normalisation sees the few rows of one rank."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RanksNormaliseFewRows(Cause):
    """Batch normalisation sees the few rows of one rank."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_normalise_enough",),
            phrase="BatchNorm normalises by the few rows of one rank",
            fix="nn.SyncBatchNorm.convert_sync_batchnorm(model) before wrapping it, or GroupNorm",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="well", run=case_run("rank_norms", [{"ranks": 2.0, "values": 64.0, "norms": 1.0}], ["norm"])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="measured",
        run=case_run("rank_norms", [{"ranks": 2.0, "values": 4.0, "norms": 1.0}], ["norm"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
