"""eval_missing: the model is evaluated in train mode."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class EvalMissing(Cause):
    """The model is evaluated in train mode."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("evaluates_in_eval_mode", "evaluation_changes_nothing"),
            phrase="the evaluation runs in train mode",
            fix="call model.eval() before the evaluation and model.train() after it",
        )


_SAMPLE = {"forwards": 4.0, "in_train_mode": 0.0, "modal": 0.0, "statistics_changed": 0.0, "declared": 1.0}
PASSES: Sequence[CauseCase] = (
    CauseCase(name="eval", run=case_run("evaluation", [_SAMPLE])),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="train_mode",
        run=case_run("evaluation", [{**_SAMPLE, "in_train_mode": 4, "modal": 1}], ["dropout"]),
        standing=Standing.MEASURED,
    ),
    CauseCase(
        name="norm_alone",
        run=case_run("evaluation", [{**_SAMPLE, "statistics_changed": 4}]),
        standing=Standing.MEASURED,
    ),
)
