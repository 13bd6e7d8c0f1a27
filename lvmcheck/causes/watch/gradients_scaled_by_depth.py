"""gradients_scaled_by_depth: gradients vanish or explode from layer to layer."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import KILLERS, UNWATCHED, Rule, deep, lasting
from lvmcheck.checks.watch._watched import case_run, watched


class GradientsScaledByDepth(Cause):
    """Gradients vanish or explode from layer to layer."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return Rule(
            checks=("gradient_by_depth",),
            explains=("outputs_vary", "update_size"),
            after=_before(evidence),
            phrase="gradients change by a constant factor per layer",
            fix=(
                "use activations that do not saturate, norms, residual connections, and the "
                "initialisation that belongs to them"
            ),
        ).diagnosis(self.name(), evidence)


def _before(evidence: Evidence) -> tuple[str, ...]:
    """What brings it about: nothing in a deep model from the first step on; else whatever killed units, or the run."""
    events = watched(evidence.run, "depth")
    finding = evidence.failed("gradient_by_depth")
    began = bool(events) and finding is not None and not _even(events[0].values.get("first_over_last", 1.0))
    killed = ("units_dead", "graph_cut", "units_saturated", "inputs_not_normalised")
    return () if began and deep(evidence) else killed if began else (*killed, *KILLERS, "updates_out_of_range")


def _even(ratio: float) -> bool:
    return 1e-3 < ratio < 1e3


PASSES = (case("even", case_run("depth", [{"first_over_last": 0.3, "layers": 6}] * 5)), UNWATCHED)
_FAILS = (
    case(
        "vanishing",
        case_run("depth", [{"first_over_last": 1e-9, "layers": 20}] * 5, ["0.weight", "38.weight"]),
        Standing.MEASURED,
    ),
)
FAILS = (*_FAILS, lasting(_FAILS[0]))
