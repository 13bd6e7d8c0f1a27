"""parameters_move: parameters with a gradient change when the optimizer steps."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class ParametersMove(Watched):
    """No parameter with a gradient above 0 stays the same in three measured optimizer steps in a row.

    Steps at a learning rate of 0 do not count; a parameter whose gradient is zero is a matter of gradient_reach.

    Why:
    A step that changes nothing trains nothing: the optimizer updates copies, rounding swallows the update, or the rate
    of one group is 0.

    Usual causes:
    - The update is smaller than the spacing of bfloat16 or float16 at the size of the weight.
    - The learning rate of the group is 0, or was scheduled to 0.
    - Something restores the weights after each step (an average, a copy, a constraint).

    Fix:
    Keep the weights in float32 (autocast casts for you), look at the rate of each group, and at what else writes to
    the weights.

    Healthy runs that must pass:
    The first step of a warm-up from 0; accumulation; steps that a gradient scaler skips; frozen layers; rows of an
    embedding that no batch contains.

    Source:
    This project's list of faults in training loops: no_update: a trainable parameter unchanged across 3 steps.
    """

    event = "movement"

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="unchanged",
            measured=event.values.get("unchanged"),
            bounds=(equal(0),),
            evidence=(
                *names(event),
                Fact("total", event.values.get("parameters")),
                Fact("learning_rate", event.values.get("learning_rate")),
            ),
            phrase="{measured} of {total} parameters do not change at learning rate {learning_rate}",
        )


_case = Cases(ParametersMove())
_SAMPLE = {"parameters": 4.0, "learning_rate": 1e-3}
PASSES = (
    _case("perfect_oracle", [{**_SAMPLE, "unchanged": 0}] * 4),
    _case("warm_up", [{"parameters": 4, "unchanged": 0, "learning_rate": 0.0}] * 4),
)
FAILS = (
    _case(
        "rounding_swallows_the_update",
        [{**_SAMPLE, "unchanged": 1}],
        "unchanged",
        1,
        subjects=["1.weight"],
        over=False,
        parameters="1.weight",
    ),
    _case("not_a_number", [{**_SAMPLE, "unchanged": float("nan")}]),
)
