"""targets_broadcast: outputs and targets of a regression are broadcast against each other."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class TargetsBroadcast(Cause):
    """Outputs and targets of a regression are broadcast against each other."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("targets_differ_by_row", "loss_inputs"),
            codes=("same_target", "broadcast"),
            probes=("loss_broadcasts",),
            phrase="every row is pulled to the mean of the batch, as when outputs [N, 1] meet targets [N]",
            fix="give both the same shape: output.squeeze(-1)",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(
        name="own_targets",
        run=case_run("targets", [{"slope": 0.1, "target": 0.3, "residual": 0.5, "deviation": 0.5, "rows": 32}] * 5),
    ),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="broadcast",
        run=case_run("targets", [{"slope": 0.1, "target": 0.3, "residual": 0.0, "deviation": 0.5, "rows": 32}] * 5),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
