"""validation_rows_trained_on: rows of validation are rows of training."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class ValidationRowsTrainedOn(Cause):
    """Rows of validation are rows of training."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("validation_rows_unseen",),
            phrase="rows of validation are trained on",
            fix="split before rows are duplicated or augmented, by group where rows belong together",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="apart", run=case_run("leak", [{"rows": 200, "in_train": 0, "train_rows": 800, "repeated": 0.0}])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="shared",
        run=case_run("leak", [{"rows": 200, "in_train": 100, "train_rows": 800, "repeated": 0.0}]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
