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
            checks=("labels_mixed", "rows_drawn_anew"),
            codes=("sorted",),
            explains=("order_changes", "epoch_pattern"),
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
_BY_TARGET = case_run("data_order", [{"sorted": 1.0, "steps": 20.0}])
FAILS: Sequence[CauseCase] = (
    *_FAILS,
    lasting(_FAILS[0]),
    CauseCase(name="by_target", run=_BY_TARGET, standing=Standing.MEASURED),
)
