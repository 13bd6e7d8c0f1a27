"""gradients_scaled_by_depth: gradients vanish or explode from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class GradientsScaledByDepth(Cause):
    """Gradients vanish or explode from layer to layer."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("gradient_by_depth",),
            explains=("outputs_vary", "update_size"),
            after=("units_dead", "graph_cut", "units_saturated"),
            phrase="gradients change by a constant factor per layer",
            fix=(
                "use activations that do not saturate, norms, residual connections, and the "
                "initialisation that belongs to them"
            ),
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="even", run=case_run("depth", [{"first_over_last": 0.3, "layers": 6}] * 5)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="vanishing",
        run=case_run("depth", [{"first_over_last": 1e-9, "layers": 20}] * 5, ["0.weight", "38.weight"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
