"""weight_decay_destroys: weight decay shrinks weights faster than they learn."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class WeightDecayDestroys(Cause):
    """Weight decay shrinks weights faster than they learn."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("decay_gentle",),
            explains=(
                "nothing_learned",
                "learns_slowly",
                "val_loss_descends",
                "weights_keep_size",
                "update_size",
                "units_alive",
            ),
            phrase="weight decay takes a large share of the weights in each step",
            fix="lower weight_decay until lr * weight_decay is between 1e-6 and 1e-4",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=case_run("decay", [{"per_step": 1e-5}] * 12, ())),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(name="broken", run=case_run("decay", [{"per_step": 0.045}] * 12, ()), standing=Standing.MEASURED),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
