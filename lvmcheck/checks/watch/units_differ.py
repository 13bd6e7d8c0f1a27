"""units_differ: the units of a layer are not all the same."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch

LEAST = 1e-4


@dataclass(frozen=True, kw_only=True)
class UnitsDiffer(Watched):
    """In no weight matrix of at least four units that gets gradients are all units equal (differences below 1e-4 of
    their size), in two looks in a row after the first three measured steps.

    Why:
    Units that begin with the same weights get the same gradient and stay the same: a layer of 48 units computes what
    one would.

    Usual causes:
    - A constant initialisation (nn.init.constant_, ones_, torch.full) of a hidden layer.
    - Weights expanded or repeated from one row.

    Fix:
    Draw the weights at random (nn.init.kaiming_normal_, or the default of the layer).

    Healthy runs that must pass:
    Layers that begin at zero, or constant, and part after the first steps, as an output layer or the factor of an
    adapter does; matrices of fewer than four units; frozen layers.

    Source:
    This project's list of faults in training loops: equal initialisation, init_symmetry.
    """

    event = "unit_spread"
    streak = 2

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="equal_units",
            measured=event.values.get("lowest"),
            bounds=(floor(LEAST),),
            evidence=(Fact("layers", event.values.get("layers")), *names(event, "weight")),
            phrase="the units of {weight} differ by {measured} of their size",
        )


_case = Cases(UnitsDiffer())
PASSES = (
    _case("perfect_oracle", [{"lowest": 0.9, "layers": 2}] * 3, subjects=["0.weight"]),
    _case("part_after_the_first_look", [{"lowest": v, "layers": 2} for v in (1e-5, 0.01, 0.1)], subjects=["0.weight"]),
)
FAILS = (
    _case(
        "constant_hidden_layer",
        [{"lowest": 0.0, "layers": 2}] * 2,
        "equal_units",
        0.0,
        subjects=["0.weight"],
        weight="0.weight",
    ),
    _case("not_a_number", [{"lowest": float("nan"), "layers": 2}] * 2, subjects=["0.weight"]),
)
