"""weight_decay_small: weight decay takes no large share of the weights in a step."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

MOST = 0.01


@dataclass(frozen=True, kw_only=True)
class WeightDecaySmall(Watched):
    """Decoupled weight decay (or that of plain SGD) takes at most a hundredth of a weight in one step, learning rate
    times weight decay, in ten measured steps in a row; decay that Adam and its like add to the gradient is not larger
    than the gradient of the loss in ten of the first 24.

    Why:
    At a hundredth a step weights halve in 70 steps, whatever the gradient says: the model forgets as fast as it learns.
    Usual values are a hundred to a million times smaller.

    Usual causes:
    - A weight decay that was tuned for another learning rate, or for an optimizer that multiplies them otherwise.
    - A percentage, or the wrong field of a configuration.

    Fix:
    Choose lr * weight_decay between 1e-6 and 1e-4, and leave biases and norms out.

    Healthy runs that must pass:
    0.1 at a rate of 1e-3; 1.0 in studies of late generalisation; decay inside of Adam that is small beside the
    gradient; gradients that vanish at the end, when all is learned.

    Source:
    This project's list of faults in training loops: weight decay that destroys.
    """

    event = "decay"
    streak = 10

    def look(self, event: Watch) -> Finding:
        if "over_gradient" in event.values:
            return Finding(
                code="decay_outweighs_loss",
                measured=event.values["over_gradient"],
                bounds=(ceiling(1.0),),
                phrase="weight decay adds {measured} times the gradient of the loss to it",
            )
        return Finding(
            code="decay_destroys",
            measured=event.values.get("per_step"),
            bounds=(ceiling(MOST),),
            phrase="weight decay takes {measured} of the weights in one step",
        )


_case = Cases(WeightDecaySmall())
PASSES = (
    _case("decay_of_adam", [{"over_gradient": 0.02}] * 12),
    _case("perfect_oracle", [{"per_step": 1e-5}] * 12, measured=1e-5),
    _case("late_generalisation", [{"per_step": 1e-3}] * 12),
)
FAILS = (
    _case("decay_15", [{"per_step": 0.045}] * 10, "decay_destroys", 0.045, step=10),
    _case("adam_of_1", [{"over_gradient": 9.0}] * 10, "decay_outweighs_loss", 9.0, step=10),
    _case("not_a_number", [{"per_step": float("nan")}] * 10),
)
