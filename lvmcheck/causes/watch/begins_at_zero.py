"""begins_at_zero: weights that begin at zero block each other, or a layer."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class BeginsAtZero(Cause):
    """Weights that begin at zero block each other, or a layer."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("gradient_reaches",),
            codes=("all_zero",),
            explains=("nothing_learned", "learns_slowly", "val_loss_descends"),
            phrase="weights are exactly zero, and so is their gradient: they stay so",
            fix="let only one factor of a product begin at zero, and no hidden layer",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(
        name="healthy", run=case_run("gradient_reach", [{"parameters": 4.0, "none": 0.0, "zero": 0.0}] * 3, ["a", "b"])
    ),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="broken",
        run=case_run("gradient_reach", [{"parameters": 4.0, "none": 0.0, "zero": 2.0, "empty": 2.0}] * 3, ["a", "b"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
