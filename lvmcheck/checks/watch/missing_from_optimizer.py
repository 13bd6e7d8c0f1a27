"""missing_from_optimizer: every trainable parameter is in the optimizer."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class MissingFromOptimizer(Watched):
    """Every parameter of the watched model that the loss has a gradient for is in a group of a watched optimizer.

    Parameters with `requires_grad` that are in none and have no gradient before the first step are counted as unused
    and do not fail.

    Why:
    A head that was added after the optimizer was made, or a list of layers that nn.Module does not see, is never
    trained. The loss still falls, because the layers below learn to serve random weights, and accuracy is often the
    same: no curve shows it.

    Usual causes:
    - The optimizer was made before the head was added or replaced.
    - Parameter groups that are chosen by name leave some out.
    - Layers stand in a plain list or dictionary (nn.ModuleList and nn.ModuleDict are what the model sees).
    - A second optimizer exists and was not given to watch.

    Fix:
    Make the optimizer after the model is complete, or optimizer.add_param_group; give all optimizers of the model to
    watch as a list; set requires_grad to False for what is not to be trained.

    Healthy runs that must pass:
    Frozen layers (requires_grad=False); several optimizers; adapters on a frozen model; a parameter that this loss does
    not use, such as a weight of terms that are not weighted here.

    Source:
    The original project (docs/history.md) and its later list of faults in training loops: a forgotten head.
    """

    event = "coverage"

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="missing",
            measured=event.values.get("missing"),
            bounds=(equal(0),),
            evidence=(
                *names(event),
                Fact("trainable", event.values.get("trainable")),
                *((Fact("unused", unused),) if (unused := event.values.get("unused")) else ()),
            ),
            phrase="{parameters} missing from the optimizer ({measured} of {trainable} trainable parameters)"
            if event.subjects
            else "{measured} of {trainable} trainable parameters missing from the optimizer",
        )


_case = Cases(MissingFromOptimizer())
PASSES = (
    _case("perfect_oracle", [{"trainable": 4, "missing": 0}]),
    _case("unused_and_left_out", [{"trainable": 9, "missing": 0, "unused": 1}]),
    _case("head_unfrozen_and_added", [{"trainable": n, "missing": 0} for n in (2, 4)]),
)
FAILS = (
    _case(
        "forgotten_head",
        [{"trainable": 4, "missing": 2}],
        "missing",
        2,
        subjects=["head.weight", "head.bias"],
        over=False,
        parameters="head.weight, head.bias",
    ),
    _case(
        "unfrozen_and_not_added", [{"trainable": 2, "missing": 0}, {"trainable": 4, "missing": 2}], measured=2, step=2
    ),
)
