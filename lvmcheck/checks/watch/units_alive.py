"""units_alive: most units of a layer get a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch

MOST = 0.9


@dataclass(frozen=True, kw_only=True)
class UnitsAlive(Watched):
    """In no layer with a bias, except the last, more than nine tenths of the units have a gradient of exactly zero
    over five measured steps.

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

    universal = True
    event = "dead_units"
    streak = 2

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="dead",
            measured=event.values.get("share"),
            bounds=(ceiling(MOST),),
            step=event.step,
            evidence=(*names(event, "layer"), Fact("layers", event.values.get("layers"))),
            phrase="share of units without gradient {measured} in {layer}" if event.subjects else "",
        )


_case = Cases(UnitsAlive())
PASSES: Sequence[Case] = (
    _case("perfect_oracle", [{"share": 0.0, "layers": 2}], subjects=["0.bias"]),
    _case("half_inactive", [{"share": 0.6, "layers": 2}] * 3, subjects=["0.bias"]),
)
FAILS: Sequence[Case] = (
    _case("killed", [{"share": 1.0, "layers": 2}] * 2, "dead", 1.0, subjects=["0.bias"], layer="0.bias"),
    _case("not_a_number", [{"share": float("nan"), "layers": 2}] * 2),
)
