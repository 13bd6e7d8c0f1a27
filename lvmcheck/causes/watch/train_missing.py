"""train_missing: the model trains in eval mode."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class TrainMissing(Cause):
    """The model trains in eval mode."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("trains_in_train_mode",),
            phrase="the model trains in eval mode",
            fix="call model.train() at the start of every epoch",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="train", run=case_run("train_mode", [{"in_train_mode": 1, "forwards": 1, "modal": 2}] * 3)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="eval",
        run=case_run("train_mode", [{"in_train_mode": 0, "forwards": 1, "modal": 2}] * 3, ["dropout"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
