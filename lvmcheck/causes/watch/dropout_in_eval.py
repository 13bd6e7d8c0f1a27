"""dropout_in_eval: dropout stays on in evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured, preflight_run
from lvmcheck.checks.watch._watched import case_run


class DropoutInEval(Cause):
    """Dropout stays on in evaluation."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("evaluation_draws_nothing",),
            probes=("eval_deterministic:functional_dropout",),
            phrase="dropout stays on in eval mode",
            fix="use nn.Dropout, or pass training=self.training to the functional form",
        )


PASSES: Sequence[CauseCase] = (CauseCase(name="other_probe", run=preflight_run("causal:future_seen")), UNWATCHED)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="in_the_loop", run=case_run("evaluation_dropout", [{"dropouts": 1.0}]), standing=Standing.MEASURED),
    CauseCase(
        name="eval_deterministic_functional_dropout",
        run=preflight_run("eval_deterministic:functional_dropout"),
        standing=Standing.MEASURED,
    ),
)
