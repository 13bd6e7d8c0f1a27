"""log_missing: a negative log-likelihood is given probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class LogMissing(Cause):
    """A negative log-likelihood is given probabilities."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("softmax_once", "loss_inputs"),
            codes=("no_log", "not_log_probabilities"),
            probes=("logit_form:not_log_probabilities",),
            phrase="nll_loss is given probabilities in place of their logs",
            fix="use log_softmax, or cross_entropy on the logits",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(
        name="logits",
        run=case_run("loss_form", [{"cross_entropy": 0.0, "softmax_twice": 0.1, "no_log": 0.3, "unweighted": 0.0}] * 2),
    ),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="no_log",
        run=case_run("loss_form", [{"cross_entropy": 0.0, "softmax_twice": 0.1, "no_log": 0.0, "unweighted": 0.3}] * 2),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
