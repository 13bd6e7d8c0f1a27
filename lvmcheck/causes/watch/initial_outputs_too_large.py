"""initial_outputs_too_large: the first outputs are far larger than a uniform guess."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured, preflight_run


class InitialOutputsTooLarge(Cause):
    """The first outputs are far larger than a uniform guess."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("activations_sized",),
            explains=("loss_diverging",),
            standing=Standing.LIKELY,
            also=("gradients_scaled_by_depth", "inputs_not_normalised", "wrong_scale"),
            tell_apart="print the deviation of the output of each module on one batch: where it leaps, the fault is",
            probes=(
                "initial_loss",
                "outputs_in_range:too_large",
            ),
            phrase="the first loss is far above that of a uniform guess: outputs begin too large",
            fix="initialise smaller, with the gain of the activation; normalise inputs; scale no loss that is a mean",
        )


PASSES: Sequence[CauseCase] = (CauseCase(name="other_probe", run=preflight_run("causal:future_seen")), UNWATCHED)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="initial_loss_above_uniform", run=preflight_run("initial_loss:above_uniform"), standing=Standing.LIKELY
    ),
    CauseCase(
        name="outputs_in_range_too_large", run=preflight_run("outputs_in_range:too_large"), standing=Standing.LIKELY
    ),
)
