"""steps_are_taken: the optimizer steps."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

RECORDED, BACKWARDS = 20, 256
"""Steps that the loop reported, and backward passes, by which the optimizer must have stepped once; in a loop that has
ended as many passes are enough as steps."""


@dataclass(frozen=True, kw_only=True)
class StepsAreTaken(Watched):
    """The watched optimizer has stepped once the loop reported 20 steps, ran 256 backward passes, or ended after 20.

    Why:
    A loop that computes losses and gradients and never calls step looks like one with a low learning rate.

    Usual causes:
    - optimizer.step() is missing, or inside a condition that is never met.
    - Another optimizer is stepped than the one that holds the parameters.
    - scaler.step is called with another optimizer.

    Fix:
    Call optimizer.step() after backward, of the optimizer that holds this model's parameters.

    Healthy runs that must pass:
    A teacher that an optimizer still holds; accumulation over many passes; the first steps that a gradient scaler
    skips; a loop of a few passes.
    """

    event = "step_calls"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if not of.get("steps") and not of.get("backwards"):
            return None  # it is called, and not trained, as a teacher is
        if of.get("former"):
            return None  # it stepped before this run, in which another model is trained
        enough = RECORDED if of.get("ended") else BACKWARDS
        if of.get("recorded", 0) < RECORDED and of.get("backwards", 0) < enough and not of.get("steps"):
            return None
        return Finding(
            code="never_stepped",
            measured=of.get("steps"),
            bounds=(floor(1),),
            evidence=(Fact("backward_passes", of.get("backwards")), Fact("recorded_steps", of.get("recorded"))),
            phrase="optimizer.step called {measured} times in {recorded_steps} recorded steps"
            if of.get("recorded")
            else "optimizer.step called {measured} times after {backward_passes} backward passes",
        )


_case = Cases(StepsAreTaken())
_TAKEN = {"steps": 1.0, "without_backward": 0.0, "recorded": 1.0, "forwards": 1.0, "backwards": 1.0}
PASSES = (
    _case("perfect_oracle", [_TAKEN] * 2),
    _case("a_few_passes", [{**_TAKEN, "steps": 0, "recorded": 0, "backwards": 9, "ended": 1.0}, _TAKEN]),
    _case("a_teacher_with_an_optimizer", [{**_TAKEN, "steps": 0, "recorded": 31, "backwards": 0}, _TAKEN]),
    _case("a_teacher_with_gradients", [{**_TAKEN, "steps": 0, "recorded": 31, "former": 1.0}, _TAKEN]),
    _case("accumulates_64", [{**_TAKEN, "steps": 0, "backwards": 64}, _TAKEN]),
)
FAILS = (
    _case(
        "ended_without_a_step",
        [{**_TAKEN, "steps": 0, "recorded": 0, "backwards": 60, "ended": 1.0}],
        "never_stepped",
        0,
        backward_passes=60,
    ),
    _case(
        "step_forgotten",
        [{**_TAKEN, "steps": 0, "recorded": 31, "backwards": 32}],
        "never_stepped",
        0,
        over=False,
        recorded_steps=31,
    ),
    _case("not_a_number", [{**_TAKEN, "steps": float("nan"), "recorded": 31}]),
)
