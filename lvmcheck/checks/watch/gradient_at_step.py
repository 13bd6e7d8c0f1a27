"""gradient_at_step: the optimizer finds gradients when it steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, warning
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

SOLVED = 8
"""Measured steps with a gradient, after which a gradient of exactly 0 may be the end of learning."""


@dataclass(frozen=True, kw_only=True)
class GradientAtStep(Watched):
    """The optimizer does not step twice in a row (of measured steps) while every gradient is None or zero.

    Why:
    zero_grad between backward and step throws the gradient away: the run takes time, and nothing is learned.

    Usual causes:
    - zero_grad is called after backward and before step.
    - The loss is detached from this model, or backward is called on another one.
    - The optimizer holds parameters of another model.

    Fix:
    The order is zero_grad, forward, backward, step.

    Healthy runs that must pass:
    A task that is solved, to a gradient of exactly 0 (warned of); the first step of a warm-up; optimizers that call
    a closure; a hinge loss that is satisfied on single batches.
    """

    event = "gradient_at_step"
    streak = 3
    needs = 12

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        """Where every gradient is exactly 0 after a time in which it was not, there may be nothing left to learn."""
        outcome = super().decide_on(run, events)
        finding = outcome.finding
        if outcome.status is not Status.FAILED or finding is None:
            return outcome
        before = [event.values for event in events if event.step < (finding.step or 0)]
        had = sum(values.get("with_gradient", 0.0) > 0 for values in before)
        zeros = [values for values in before[-1:] if values.get("none", math.inf) < values.get("parameters", 0.0)]
        solved = replace(finding, code="no_gradient_any_more")
        return warning(solved, evaluated=outcome.evaluated) if had >= SOLVED and zeros else outcome

    def look(self, event: Watch) -> Finding | None:
        if event.values.get("parameters") == 0:
            return None  # the optimizer holds none of this model
        return Finding(
            code="no_gradient_at_step",
            measured=event.values.get("with_gradient"),
            bounds=(floor(1),),
            evidence=(Fact("total", event.values.get("parameters")),),
            phrase="{measured} of {total} parameters have a gradient when the optimizer steps",
        )


_case = Cases(GradientAtStep())
PASSES = (
    _case(
        "an_optimizer_of_another_model_is_no_business_of_this",
        [{"parameters": 0, "with_gradient": 0}] * 3 + [{"parameters": 4, "with_gradient": 4}] * 3,
    ),
    _case("perfect_oracle", [{"parameters": 4, "with_gradient": 4}] * 3),
    _case("hinge_satisfied_once", [{"parameters": 4, "with_gradient": n} for n in (4, 0, 4)]),
)
FAILS = (
    _case(
        "solved",
        [{"parameters": 4, "none": 0, "with_gradient": n} for n in (*[4] * 10, 0, 0, 0)],
        "no_gradient_any_more",
        0,
        status=Status.WARNING,
    ),
    _case(
        "cleared_before_the_step",
        [{"parameters": 4, "with_gradient": 0}] * 3,
        "no_gradient_at_step",
        0,
        over=False,
        step=3,
    ),
    _case("not_a_number", [{"parameters": 4, "with_gradient": float("nan")}] * 3),
)
