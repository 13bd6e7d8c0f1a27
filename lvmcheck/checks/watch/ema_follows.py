"""ema_follows: a copy that is used as a slow model follows the one it is a copy of."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling, floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch

STEPS, CALLS, BESIDE = 50, 3, 0.5
LONG, WAY = 200, 0.4
"""Steps after which a copy that is evaluated has gone this share of the way of the trained weights."""


@dataclass(frozen=True, kw_only=True)
class EmaFollows(Watched):
    """No module that began as an exact copy of a trained part, is in no optimizer and was called at least three times
    on inputs that the trained part was not given, still has the values of the beginning when the run ends after at
    least 50 steps. One that evaluations use has gone 0.4 of the way from the initial to the trained weights after 200
    steps, and its running statistics change where those of the trained part do.

    Why:
    A target network, an averaged model or a slow encoder that is never updated gives targets, or evaluations, of the
    random weights of the beginning.

    Usual causes:
    - The update (load_state_dict, lerp_) is missing, or in a branch that is never taken.
    - The update writes into a copy of a copy.
    - The decay is that of a run of 100,000 steps: 0.999 keeps 0.74 of the beginning for 300 steps.
    - Parameters are averaged, and the buffers of batch norm are not: update_bn, or use_buffers=True.
    - state_dict values are updated that are no references.

    Fix:
    Update the copy after the optimizer step, and compare a weight of both now and then.

    Healthy runs that must pass:
    Copies that are updated at any time of the run; reference models, which see what the trained model sees; teachers
    that began with other weights; copies that are kept and never called; layers of a stack that began as copies.

    Source:
    This project's list of faults in training loops: an EMA that is never updated.
    """

    event = "copy"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        unknown = any(map(math.isnan, of.values()))
        used = of.get("steps", 0.0) >= STEPS and of.get("calls", 0.0) >= CALLS
        if not unknown and (not used or of.get("same_inputs", 1.0) >= BESIDE):
            return None
        more = _evaluated(event) if not unknown and not of.get("unchanged") else None
        return more or Finding(
            code="never_updated",
            measured=math.nan if unknown else of.get("unchanged"),
            bounds=(ceiling(0),),
            evidence=(Fact("calls", of.get("calls")), Fact("steps", of.get("steps")), *names(event, "of")),
            phrase="the EMA or target copy of {of} was used {calls} times and is unchanged after {steps} steps",
        )


def _evaluated(event: Watch) -> Finding | None:
    """A copy that evaluations use, and that has hardly moved, or whose running statistics never change."""
    of = event.values
    slow = of.get("steps", 0.0) >= LONG and of.get("way", 1.0) < WAY
    if not slow and not of.get("statistics_left"):
        return None
    return Finding(
        code="too_slow" if slow else "statistics_left",
        measured=of.get("way") if slow else of.get("statistics_left"),
        bounds=(floor(WAY) if slow else ceiling(0),),
        step=event.step,
        evidence=(Fact("calls", of.get("calls")), Fact("steps", of.get("steps")), *names(event, "of")),
        phrase="the EMA of {of} that is evaluated is {measured} of the way from the initial to the trained weights"
        if slow
        else "the running statistics of the EMA of {of} that is evaluated are never updated",
    )


_case = Cases(EmaFollows())
_FOLLOWS = {"steps": 300, "calls": 300, "unchanged": 0.0, "same_inputs": 0.0}
_FORGOTTEN = {**_FOLLOWS, "unchanged": 1.0}
_EVALUATED = {**_FOLLOWS, "way": 0.97, "statistics_left": 0.0}
PASSES = (
    _case("evaluated_by_its_average", [_EVALUATED], subjects=["left"]),
    _case("a_short_trial", [{**_EVALUATED, "steps": 120, "way": 0.1}], subjects=["left"]),
    _case("perfect_oracle", [_FOLLOWS], subjects=["left"], measured=0.0),
    _case("a_reference_model_beside", [{**_FORGOTTEN, "same_inputs": 1.0}, _FOLLOWS], subjects=["policy"]),
    _case("hardly_used", [{**_FORGOTTEN, "calls": 1}, _FOLLOWS], subjects=["left"]),
)
FAILS = (
    _case("forgotten", [_FORGOTTEN], "never_updated", 1.0, subjects=["left"], of="left", calls=300),
    _case("slow", [{**_EVALUATED, "way": 0.11}], "too_slow", 0.11, subjects=["left"]),
    _case("buffers_of_the_beginning", [{**_EVALUATED, "statistics_left": 1.0}], "statistics_left", subjects=["left"]),
    _case("not_a_number", [{**_FOLLOWS, "unchanged": float("nan")}], subjects=["left"]),
)
