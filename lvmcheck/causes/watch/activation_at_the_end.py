"""activation_at_the_end: the model ends in an activation that keeps its outputs from the targets."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.checks.watch.loss_inputs import SAYS


class ActivationAtTheEnd(Cause):
    """The model ends in an activation that keeps its outputs from the targets."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("loss_inputs",),
            codes=("rectified", "out_of_reach"),
            explains=("units_alive", "nothing_learned", "predictions_constant", "gradient_reaches"),
            phrase="the activation after the last layer keeps outputs from what the loss asks for",
            fix="end the model in a linear layer, or bring the targets into the range of the activation",
        )


_WELL = dict.fromkeys(SAYS, 0.0)
PASSES: Sequence[CauseCase] = (
    CauseCase(name="linear", run=case_run("loss_input", [_WELL] * 3, ["mse_loss"])),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = tuple(
    CauseCase(
        name=code,
        run=case_run("loss_input", [{**_WELL, code: 1.0}] * 3, [function]),
        standing=Standing.MEASURED,
    )
    for code, function in (("rectified", "cross_entropy"), ("out_of_reach", "mse_loss"))
)
