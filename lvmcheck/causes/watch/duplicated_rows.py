"""duplicated_rows: rows occur several times in the training set."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class DuplicatedRows(Cause):
    """Rows occur several times in the training set."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("train_rows_differ",),
            explains=("validation_rows_unseen", "overfits", "memorises"),
            phrase="rows occur several times in the training set",
            fix="remove the copies before the split; train for more epochs instead of repeating rows",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=case_run("data_repeats", [{"rows": 640.0, "repeated": 0.4, "least": 0.0}])),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="four_times",
        run=case_run("data_repeats", [{"rows": 640.0, "repeated": 0.75, "least": 0.74}]),
        standing=Standing.MEASURED,
    ),
    CauseCase(
        name="a_fifth",
        run=case_run("data_repeats", [{"rows": 640.0, "repeated": 0.2, "least": 0.2}]),
        standing=Standing.MEASURED,
    ),
)
