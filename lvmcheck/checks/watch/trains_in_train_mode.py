"""trains_in_train_mode: the model trains in train mode."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class TrainsInTrainMode(Watched):
    """In no three measured steps in a row all forward passes of training run in eval mode, where the model has
    dropout or batch statistics.

    Why:
    In eval mode dropout is off and batch norm uses statistics that never change: the model is trained as another one,
    often with a better train loss.

    Usual causes:
    - model.train() is missing after an evaluation that called model.eval().
    - The model was loaded by a function that returns it in eval mode.
    - train() was called on a wrapper that does not pass it on.

    Fix:
    Call model.train() at the start of every epoch.

    Healthy runs that must pass:
    Models without dropout and batch norm; single layers in eval mode (a frozen batch norm); forward passes of an
    evaluation with gradients enabled.
    """

    event = "train_mode"
    streak = 3

    def look(self, event: Watch) -> Finding:
        of = event.values
        modal = of.get("modal", float("nan"))
        return Finding(
            code="eval_mode",
            measured=of.get("in_train_mode") if modal else of.get("forwards"),
            bounds=(floor(1),),
            evidence=(*(names(event, "modules")), Fact("total", of.get("forwards")), Fact("mode_dependent", modal)),
            phrase="{measured} of {total} forward passes of the step in train mode",
        )


_case = Cases(TrainsInTrainMode())
_STEP = {"in_train_mode": 1.0, "forwards": 1.0, "modal": 2.0}
PASSES = (
    _case("perfect_oracle", [_STEP] * 3),
    _case("nothing_depends_on_it", [{**_STEP, "in_train_mode": 0, "modal": 0}] * 3),
)
FAILS = (
    _case(
        "train_forgotten_after_eval",
        [_STEP] + [{**_STEP, "in_train_mode": 0}] * 3,
        "eval_mode",
        0,
        subjects=["dropout"],
        over=False,
        step=4,
        modules="dropout",
    ),
    _case("not_a_number", [{**_STEP, "in_train_mode": float("nan")}] * 3),
)
