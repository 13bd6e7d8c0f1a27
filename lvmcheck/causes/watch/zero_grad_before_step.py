"""zero_grad_before_step: gradients are cleared between backward and step."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule, lasting
from lvmcheck.checks.watch._watched import case_run, watched


class ZeroGradBeforeStep(Cause):
    """Gradients are cleared between backward and step."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        parts = evidence.failed("accumulated_gradients_kept") is not None
        if not parts and evidence.failed("loss_exactly_zero") is not None:
            return None  # the gradient of a loss that is 0 is 0
        steps = [event.values for event in watched(evidence.run, "gradient_at_step")]
        zeros = not parts and bool(steps) and steps[-1].get("none", math.inf) < steps[-1].get("parameters", 0.0)
        return Rule(
            standing=Standing.CONSISTENT if zeros else Standing.MEASURED,
            also=("loss_not_computed", "units_dead", "vanishing_gradient") if zeros else (),
            tell_apart="print the loss and the norm of p.grad directly after backward()" if zeros else "",
            checks=("gradient_at_step", "accumulated_gradients_kept"),
            phrase="every gradient is exactly 0 when the optimizer steps: cleared, or 0 from the loss on"
            if zeros
            else "gradients are missing when the optimizer steps",
            fix="the order is zero_grad, forward, backward, step",
        ).diagnosis(self.name(), evidence)


PASSES = (
    case("there", case_run("gradient_at_step", [{"parameters": 4, "with_gradient": 4}] * 3)),
    UNWATCHED,
)
_FAILS = (
    case("gone", case_run("gradient_at_step", [{"parameters": 4, "with_gradient": 0}] * 3), Standing.MEASURED),
    case(
        "zeros",
        case_run("gradient_at_step", [{"parameters": 4, "with_gradient": 0, "none": 0}] * 3),
        Standing.CONSISTENT,
    ),
)
FAILS = (*_FAILS, lasting(_FAILS[0]))
