"""gradients_leap: single gradients are far larger than the others."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class GradientsLeap(Cause):
    """Single gradients are far larger than the others."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("gradient_norm_steady",),
            standing=Standing.CONSISTENT,
            also=("updates_out_of_range",),
            tell_apart="with a tenth of the learning rate the leaps remain where rows make them",
            phrase="gradient norms leap again and again",
            fix="clip the gradient norm, lower the learning rate, and look at the rows of those steps",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="steady", run=case_run("gradient_norm", [{"norm": 1.0}] * 12 + [{"norm": 0.5}] * 12)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="leaps",
        run=case_run("gradient_norm", [{"norm": 1.0}] * 16 + [{"norm": 90.0}, {"norm": 0.5}] * 3),
        standing=Standing.CONSISTENT,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
