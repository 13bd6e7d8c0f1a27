"""zero_grad_missing: gradients of former steps are never cleared."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class ZeroGradMissing(Cause):
    """Gradients of former steps are never cleared."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("gradients_cleared",),
            explains=("gradient_norm_steady",),
            phrase="gradients are not cleared between steps",
            fix="call optimizer.zero_grad() once per step, before the first backward pass",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="cleared", run=case_run("leftover", [{"share": 0.0, "norm": 1.0}] * 2)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(name="missing", run=case_run("leftover", [{"share": 0.8, "norm": 1.0}] * 2), standing=Standing.MEASURED),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
