"""parameters_held_once: no parameter is in the optimizer twice."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class ParametersHeldOnce(Watched):
    """No parameter of the watched model is in two groups of the watched optimizers, or twice in one.

    Why:
    A parameter in two groups is updated twice in every step, with two rates and two moments.

    Usual causes:
    - Groups made by name patterns that overlap.
    - add_param_group for a head that model.parameters() held already.
    - Two optimizers over the same model, both stepped for the same loss.

    Fix:
    Make the groups disjoint; print len of the set of ids beside the sum of the lengths of the groups.

    Healthy runs that must pass:
    Weights that are tied on purpose, which are one parameter with two names; several optimizers over different parts.
    """

    event = "held_twice"

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="twice",
            measured=event.values.get("twice"),
            bounds=(equal(0),),
            evidence=(*names(event), Fact("total", event.values.get("held"))),
            phrase="{measured} of {total} parameters in the optimizer more than once",
        )


_case = Cases(ParametersHeldOnce())
PASSES = (
    _case("perfect_oracle", [{"held": 4, "twice": 0}]),
    _case("two_readings", [{"held": n, "twice": 0} for n in (2, 4)]),
)
FAILS = (
    _case("overlapping_groups", [{"held": 4, "twice": 1}], "twice", 1, subjects=["head.weight"]),
    _case("not_a_number", [{"held": 4, "twice": float("nan")}]),
)
