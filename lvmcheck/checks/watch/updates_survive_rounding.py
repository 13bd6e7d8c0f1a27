"""updates_survive_rounding: updates of half-precision weights are not rounded away."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

LOST = 0.5
ELEMENTS = 16
"""Elements with a gradient from which on a share means something."""
RATE = 0.1


@dataclass(frozen=True, kw_only=True)
class UpdatesSurviveRounding(Watched):
    """Of the weights in bfloat16 or float16 that have a gradient, at most half are unchanged by the step, in ten
    measured steps in a row.

    Why:
    bfloat16 has 8 bits: an update below 1/256 of a weight is lost. Training looks slow, or stops, for no reason that a
    curve shows.

    Usual causes:
    - model.bfloat16() or .half() with an optimizer on these weights, and a small learning rate.
    - Master weights that were dropped by a change of the framework.

    Fix:
    Keep weights in float32 and use autocast, keep float32 master weights, or round stochastically.

    Healthy runs that must pass:
    float32 weights under autocast; optimizers that hold float32 master weights; rates large enough; rows of an
    embedding without gradient.

    Source:
    This project's list of faults in training loops: half-precision underflow, bf16 updates lost.
    """

    event = "rounding"
    streak = 10

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("elements", 0.0) < ELEMENTS or of.get("share_of_rate", 1.0) < RATE:
            return None
        return Finding(
            code="rounded_away",
            measured=of.get("share"),
            bounds=(ceiling(LOST),),
            evidence=(Fact("elements", of.get("elements")),),
            phrase="{measured} of the half-precision weights with a gradient do not change in a step",
        )


_case = Cases(UpdatesSurviveRounding())
PASSES = (
    _case("perfect_oracle", [{"share": 0.0, "elements": 400}] * 10),
    _case("a_few_are_lost", [{"share": 0.3, "elements": 400}] * 12),
    _case(
        "end_of_a_schedule",
        [{"share": 0.0, "elements": 400}] + [{"share": 0.99, "elements": 400, "share_of_rate": 0.01}] * 12,
    ),
)
FAILS = (
    _case("lost", [{"share": 0.9, "elements": 400}] * 10, "rounded_away", 0.9, step=10),
    _case("not_a_number", [{"share": float("nan"), "elements": 400}] * 10),
)
