"""softmax_too_many: softmax is applied before a loss that applies it itself."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class SoftmaxTooMany(Cause):
    """Softmax is applied before a loss that applies it itself."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("output_not_probabilities", "softmax_once", "loss_inputs"),
            codes=("probabilities", "softmax_over_the_batch", "softmax_twice", "wrong_axis", "sigmoid_twice"),
            probes=("logit_form:softmax_twice", "logit_form:wrong_axis", "logit_form:sigmoid_twice"),
            phrase="cross entropy is given probabilities in place of logits",
            fix="remove the softmax before cross_entropy",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(
        name="logits",
        run=case_run("loss_form", [{"cross_entropy": 0.0, "softmax_twice": 0.1, "no_log": 0.3, "unweighted": 0.0}] * 2),
    ),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="twice",
        run=case_run("loss_form", [{"cross_entropy": 0.1, "softmax_twice": 0.0, "no_log": 0.3, "unweighted": 0.1}] * 2),
        standing=Standing.MEASURED,
    ),
    CauseCase(
        name="inside",
        run=case_run("output_form", [{"sum_error": 0.0, "column_error": 3.0, "lowest": 0.0, "cross_entropy": 0.0}] * 2),
        standing=Standing.MEASURED,
    ),
)
