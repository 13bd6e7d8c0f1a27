"""zero_grad_before_step: gradients are cleared between backward and step."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class ZeroGradBeforeStep(Cause):
    """Gradients are cleared between backward and step."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("gradient_at_step", "parts_kept"),
            phrase="gradients are gone when the optimizer steps",
            fix="the order is zero_grad, forward, backward, step",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="there", run=case_run("gradient_at_step", [{"parameters": 4, "with_gradient": 4}] * 3)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="gone",
        run=case_run("gradient_at_step", [{"parameters": 4, "with_gradient": 0}] * 3),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
