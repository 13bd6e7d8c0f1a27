"""units_unsaturated: units of tanh and sigmoid are not saturated."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome
from lvmcheck.checks.watch._watched import Cases, Watched, names, unless_it_learned
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

MOST = 0.95
"""Share of saturated units that no policy gets to by learning."""


@dataclass(frozen=True, kw_only=True)
class UnitsUnsaturated(Watched):
    """In no tanh or sigmoid module, except the last, more than half of the units lie in the outer 5 % of their range
    on 90 % of a batch, five measured steps in a row.

    Why:
    A saturated unit has hardly a gradient and is a constant for what follows.

    Usual causes:
    - Weights or inputs that are too large.
    - A learning rate that is too high.
    - Inputs that are not normalised.

    Fix:
    Normalise the inputs, lower the rate, or put a norm before the activation.

    Healthy runs that must pass:
    The sigmoid of an output that is sure; policies that got sure of what they do while returns rise; gates that are
    open on some rows and closed on others.
    """

    event = "saturation"
    streak = 5

    def decide(self, run: Run) -> Outcome:
        outcome = super().decide(run)
        return unless_it_learned(outcome, run, MOST) if run.curves.rewards else outcome

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="saturated",
            measured=event.values.get("highest"),
            bounds=(ceiling(0.5),),
            evidence=(*names(event, "module"), Fact("modules", event.values.get("modules"))),
            phrase="share of saturated units {measured} in {module}" if event.subjects else "",
        )


_case = Cases(UnitsUnsaturated())
PASSES = (
    _case("perfect_oracle", [{"highest": 0.0, "modules": 2}] * 5, subjects=["1"]),
    _case("some", [{"highest": 0.3, "modules": 2}] * 5, subjects=["1"]),
)
FAILS = (
    _case("inputs_x255", [{"highest": 0.9, "modules": 2}] * 5, "saturated", 0.9, subjects=["1"], module="1"),
    _case("not_a_number", [{"highest": float("nan"), "modules": 2}] * 5),
)
