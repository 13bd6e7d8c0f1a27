"""loss_parameters_optimized: what the loss has a gradient for, and no model that is watched holds, is optimised."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class LossParametersOptimized(Watched):
    """No parameter outside of the watched model gets a gradient from the loss while it is in no optimizer of this
    process, keeps its value, and is as PyTorch initialises it, twice in a row among the first backward passes that
    are looked at, of which each is twice as late as the one before.

    Why:
    A second tower, a head or a learned temperature that is not given to the optimizer stays random. The loss falls all
    the same, because what is trained adapts to it.

    Usual causes:
    - The optimizer was made from the parameters of one of several models.
    - A bare nn.Parameter, such as a temperature, is in no module and in no parameter group.

    Fix:
    Give the optimizer the parameters of all models, and those that stand alone; set requires_grad to False for what
    is not to be trained.

    Healthy runs that must pass:
    Networks with pretrained weights that a loss is measured with; parameters of another optimizer, and those that the
    loop changes by hand; frozen parameters.

    Source:
    This project's list of faults in training loops: a forgotten head.
    """

    event = "loss_parameters"
    streak = 2

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="outside",
            measured=event.values.get("outside"),
            bounds=(equal(0),),
            evidence=names(event),
            phrase="{measured} parameters get a gradient from the loss and are in no optimizer: {parameters}"
            if event.subjects
            else "{measured} parameters outside of the model get a gradient from the loss and are in no optimizer",
        )


_case = Cases(LossParametersOptimized())
PASSES = (
    _case("perfect_oracle", [{"outside": 0}] * 4),
    _case("given_to_an_optimizer_later", [{"outside": n} for n in (2, 0, 0)]),
)
FAILS = (
    _case(
        "second_tower",
        [{"outside": 2}] * 3,
        "outside",
        2,
        subjects=["Tower.0.weight", "Tower.0.bias"],
        over=False,
        step=2,
        parameters="Tower.0.weight, Tower.0.bias",
    ),
    _case("temperature", [{"outside": 0}, *[{"outside": 1}] * 2], measured=1),
    _case("not_a_number", [{"outside": float("nan")}] * 2),
)
