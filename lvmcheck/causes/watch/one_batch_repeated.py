"""one_batch_repeated: every step sees the same batch."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class OneBatchRepeated(Cause):
    """Every step sees the same batch."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("batches_differ",),
            explains=("order_changes", "loss_diverging", "overfits", "memorises", "nothing_learned", "train_val_ratio"),
            phrase="every step trains on the same rows",
            fix="iterate over the loader; draw its iterator once, outside the loop",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="others", run=case_run("batch", [{"same_as_last": 0, "rows": 32, "distinct": 32}] * 10)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="same",
        run=case_run("batch", [{"same_as_last": 1, "rows": 32, "distinct": 32}] * 10),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
