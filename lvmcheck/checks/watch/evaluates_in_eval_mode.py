"""evaluates_in_eval_mode: the model is evaluated in eval mode."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class EvaluatesInEvalMode(Watched):
    """No forward pass of an evaluation runs with dropout or batch statistics in train mode.

    An evaluation is what runs inside `watcher.val`, what runs since the last step when the loop reports a metric of an
    evaluation, or at least two forward passes without gradients after at least five steps without any.

    Why:
    In train mode dropout removes units and batch norm uses the batch (and learns from it): the figures are of another
    model than the one that is saved, and the evaluation changes the model.

    Usual causes:
    - model.eval() is missing before the evaluation.
    - model.train() is called inside the function that evaluates.
    - A part of the model is not registered as a submodule, or overrides train().

    Fix:
    Call model.eval() before the evaluation and model.train() after it.

    Healthy runs that must pass:
    Models without dropout and batch norm; forward passes without gradients that belong to training (the fakes of a
    GAN, target networks, rollouts); a single picture drawn now and then; accuracy on a training batch.

    Source:
    This project's list of faults in training loops: val_mode.
    """

    event = "evaluation"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if not of.get("declared") and of.get("forwards", 0) < 2:
            return None
        in_train_mode = of.get("in_train_mode", float("nan")) if of.get("modal") else 0
        return Finding(
            code="train_mode",
            measured=in_train_mode,
            bounds=(equal(0),),
            epoch=event.epoch,
            evidence=(*names(event, "modules"), Fact("total", of.get("forwards"))),
            phrase="{measured} of {total} forward passes of the evaluation in train mode",
        )


_case = Cases(EvaluatesInEvalMode())
_EVAL = {"forwards": 4.0, "modal": 2.0, "statistics_changed": 0.0, "declared": 1.0}
PASSES = (
    _case("perfect_oracle", [{**_EVAL, "in_train_mode": 0, "modal": 0}]),
    _case("nothing_depends_on_the_mode", [{**_EVAL, "in_train_mode": 4, "modal": 0}]),
    _case(
        "a_picture_now_and_then",
        [{**_EVAL, "in_train_mode": 1, "forwards": 1, "declared": 0}, {**_EVAL, "in_train_mode": 0, "modal": 0}],
    ),
)
FAILS = (
    _case(
        "eval_forgotten",
        [{**_EVAL, "in_train_mode": 4}],
        "train_mode",
        4,
        subjects=["dropout", "norm"],
        over=False,
        modules="dropout, norm",
    ),
    _case("not_a_number", [{**_EVAL, "in_train_mode": float("nan")}]),
)
