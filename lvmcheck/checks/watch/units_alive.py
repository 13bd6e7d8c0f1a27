"""units_alive: most units of a layer get a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, passed, pending
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

NEARLY_ALL, BACK = 0.99, 0.7
"""Share from which they do not come back, and that at the end where enough of them did."""
MOST = 0.9


@dataclass(frozen=True, kw_only=True)
class UnitsAlive(Watched):
    """In no layer with a bias, except the last, more than nine tenths of the units have a gradient of exactly zero
    over five measured steps, twice in a row; up to 99 %, where more than 70 % have none at the end either.

    Why:
    A unit behind a ReLU that is never active gets no gradient and never comes back: the layer is smaller than it
    looks.

    Usual causes:
    - A learning rate that was too high for a moment.
    - Biases that began far below zero, or inputs that are far from zero.
    - A mask or a mixture that uses few of the units.

    Fix:
    Lower the learning rate or warm up, normalise the inputs, or use an activation with a slope below zero.

    Healthy runs that must pass:
    Half of the units inactive, as with inputs of one sign; biases before a norm; classes that are absent, in the last
    layer.
    """

    event = "dead_units"
    streak = 2

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        """Units that a plateau silences may come back: up to 0.99 of them are judged at the end."""
        outcome = super().decide_on(run, events)
        finding = outcome.finding
        if outcome.status is not Status.FAILED or finding is None or not finding.number < NEARLY_ALL:
            return outcome
        if not run.over:
            return pending("whether units come back", evaluated=outcome.evaluated)
        last = replace(self.look(events[-1]), step=events[-1].step)
        if not last.number <= BACK:
            return outcome
        done = passed(last, evaluated=outcome.evaluated)
        return done if complete(run) else pending("the end of the run", evaluated=outcome.evaluated)

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="dead",
            measured=event.values.get("share"),
            bounds=(ceiling(MOST),),
            evidence=(*names(event, "layer"), Fact("layers", event.values.get("layers"))),
            phrase="share of units without gradient {measured} in {layer}" if event.subjects else "",
        )


_case = Cases(UnitsAlive())
PASSES = (
    _case("perfect_oracle", [{"share": 0.0, "layers": 2}], subjects=["0.bias"]),
    _case("come_back", [{"share": s, "layers": 2} for s in (0.3, 0.95, 0.97, 0.93, 0.6)], subjects=["0.bias"]),
    _case("half_inactive", [{"share": 0.6, "layers": 2}] * 3, subjects=["0.bias"]),
)
FAILS = (
    _case(
        "few_come_back", [{"share": s, "layers": 2} for s in (0.9, 0.95, 0.93, 0.77)], "dead", 0.93, subjects=["0.bias"]
    ),
    _case("stay_away", [{"share": s, "layers": 2} for s in (0.3, 0.95, 0.97)], "dead", 0.97, subjects=["0.bias"]),
    _case("killed", [{"share": 1.0, "layers": 2}] * 2, "dead", 1.0, subjects=["0.bias"], layer="0.bias"),
    _case("not_a_number", [{"share": float("nan"), "layers": 2}] * 2),
)
