"""clipped_before_unscale: gradients are clipped while they are still scaled."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class ClippedBeforeUnscale(Cause):
    """Gradients are clipped while they are still scaled."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("clipping_acts_sometimes",),
            codes=("clipped_before_unscale",),
            phrase="gradients are clipped before the scaler has unscaled them",
            fix="call scaler.unscale_(optimizer) before clip_grad_norm_",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="unclipped", run=case_run("gradient_norm", [{"norm": 1.0}, {"norm": 0.5}] * 20)),
    CauseCase(name="bound_far_too_low", run=case_run("gradient_norm", [{"norm": 0.00099999}] * 20)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(name="scaled", run=case_run("gradient_norm", [{"norm": 1 / 65536}] * 20), standing=Standing.MEASURED),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
