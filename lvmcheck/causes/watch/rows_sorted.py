"""rows_sorted: training data are sorted by class."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RowsSorted(Cause):
    """Training data are sorted by class."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("labels_mixed",),
            explains=("order_changes",),
            phrase="batches hold one class after another",
            fix="shuffle the training data",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="mixed", run=case_run("labels", [{"distinct": 8, "rows": 32, "seen": 8}] * 10)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="sorted", run=case_run("labels", [{"distinct": 1, "rows": 32, "seen": 8}] * 10), standing=Standing.MEASURED
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
