"""gradients_cleared: a backward pass does not add to the gradient of the step before."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class GradientsCleared(Watched):
    """Between two steps of an optimizer some backward pass starts from gradients that are None or zero.

    Measured at two measured steps in a row: the norm of the old gradient that the backward passes since the last step
    found, over the norm of the gradient that the optimizer takes.

    Why:
    Without zero_grad every step follows the sum of all gradients so far. The loss falls at first, then circles or
    diverges, and looks like a learning rate that is too high.

    Usual causes:
    - optimizer.zero_grad() is missing, or belongs to another optimizer.
    - zero_grad is called every n-th batch and step every batch.
    - Gradients are cleared for model.parameters() while the optimizer holds others.

    Fix:
    Call optimizer.zero_grad() once per optimizer step, before the first backward pass or after the step.

    Healthy runs that must pass:
    Accumulation over several backward passes; zero_grad(set_to_none=False); adversarial training, where the backward
    pass of one model leaves gradients in the other that are cleared before its own turn.

    Source:
    This project's list of faults in training loops; zero_grad_missing of TrainCheck (OSDI 2025) and pytest-torch.
    """

    event = "leftover"
    streak = 2

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="not_cleared",
            measured=event.values.get("share"),
            bounds=(ceiling(ROUNDING),),
            evidence=(Fact("gradient_norm", event.values.get("norm")),),
            phrase="gradient left over from the step before: {measured} of the gradient norm {gradient_norm}",
        )


_case = Cases(GradientsCleared())
PASSES = (
    _case("perfect_oracle", [{"share": 0.0, "norm": 1.0}] * 3),
    _case("one_reading", [{"share": s, "norm": 1.0} for s in (0.0, 0.4, 0.0)]),
)
FAILS = (
    _case("zero_grad_missing", [{"share": s, "norm": 2.0} for s in (0.7, 0.9)], "not_cleared", 0.9, over=False, step=2),
    _case("not_a_number", [{"share": float("nan"), "norm": 2.0}] * 2),
)
