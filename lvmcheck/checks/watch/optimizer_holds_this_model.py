"""optimizer_holds_this_model: the optimizer does not hold a former copy of the model's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class OptimizerHoldsThisModel(Watched):
    """No parameter in the optimizer that is not the model's has the shape of one of the model's that the optimizer
    lacks.

    Why:
    An optimizer that was made before the model was copied, rebuilt or moved updates tensors that nobody uses any
    more.

    Usual causes:
    - The model, or a part of it, was replaced, deep-copied or loaded after the optimizer was made.
    - A layer was re-initialised by a new module in its place.
    - Parameters were moved to another device by assignment.

    Fix:
    Make the optimizer last, from the parameters of the model that is trained.

    Healthy runs that must pass:
    A loss with parameters of its own (a temperature, class centres) in the same optimizer; a model that is watched in
    part.
    """

    event = "foreign"

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="replaced",
            measured=event.values.get("replaced"),
            bounds=(equal(0),),
            evidence=(*names(event), Fact("missing", event.values.get("missing"))),
            phrase="{measured} parameters in the optimizer are not of this model, whose own of the same "
            "shapes are missing",
        )


_case = Cases(OptimizerHoldsThisModel())
PASSES = (
    _case("perfect_oracle", [{"foreign": 0, "missing": 0, "replaced": 0}]),
    _case("a_loss_with_a_temperature", [{"foreign": 1, "missing": 0, "replaced": 0}]),
)
FAILS = (
    _case(
        "head_replaced_after_the_optimizer",
        [{"foreign": 2, "missing": 2, "replaced": 2}],
        "replaced",
        2,
        subjects=["group 0, parameter 2, shape [5, 32]"],
    ),
    _case("not_a_number", [{"foreign": 1, "missing": 0, "replaced": float("nan")}]),
)
