"""one_step_per_backward: no gradient is used for two steps."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class OneStepPerBackward(Watched):
    """The optimizer does not step twice on gradients to which no backward pass has added anything in between.

    Why:
    The second step repeats the first one (with momentum: more than that), so that the effective learning rate is
    about twice the one that is logged.

    Usual causes:
    - step is called in the loop and again in a callback or a wrapper.
    - scaler.step is followed by optimizer.step.
    - backward is skipped under a condition, step is not.

    Fix:
    Call step once per backward pass (or once per k passes).

    Healthy runs that must pass:
    Optimizers that call a closure; several backward passes per step; gradients written by hand, without autograd.
    """

    event = "step_calls"

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="repeated",
            measured=event.values.get("without_backward"),
            bounds=(ceiling(1),),
            evidence=(Fact("steps", event.values.get("steps")),),
            phrase="{measured} of {steps} steps reuse the gradient of the step before",
        )


_case = Cases(OneStepPerBackward())
_TAKEN = {"steps": 3.0, "without_backward": 0.0, "recorded": 3.0, "forwards": 1.0, "backwards": 1.0}
PASSES = (_case("perfect_oracle", [_TAKEN] * 2), _case("once", [{**_TAKEN, "without_backward": 1}] * 2))
FAILS = (
    _case(
        "step_called_twice", [_TAKEN, {**_TAKEN, "steps": 6, "without_backward": 2}], "repeated", 2, over=False, steps=6
    ),
    _case("not_a_number", [{**_TAKEN, "without_backward": float("nan")}]),
)
