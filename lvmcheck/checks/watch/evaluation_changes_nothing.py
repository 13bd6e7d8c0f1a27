"""evaluation_changes_nothing: an evaluation does not update the statistics of norms."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class EvaluationChangesNothing(Watched):
    """Running means of batch and instance norms are the same before and after every forward pass of an evaluation.

    Why:
    Statistics that learn from validation data leak it into the model, and the figures depend on the order of
    evaluations.

    Usual causes:
    - model.eval() is missing, or a norm stays in train mode.
    - The evaluation runs through a wrapper in train mode.

    Fix:
    Call model.eval() before the evaluation; check that train() is not overridden.

    Healthy runs that must pass:
    Forward passes without gradients that belong to training; re-estimation of statistics on training data outside of
    an evaluation.
    """

    event = "evaluation"

    def look(self, event: Watch) -> Finding | None:
        if not event.values.get("declared") and event.values.get("forwards", 0) < 2:
            return None
        return Finding(
            code="statistics_changed",
            measured=event.values.get("statistics_changed"),
            bounds=(equal(0),),
            epoch=event.epoch,
            evidence=(*names(event, "modules"), Fact("total", event.values.get("forwards"))),
            phrase="running statistics changed in {measured} of {total} forward passes of the evaluation",
        )


_case = Cases(EvaluationChangesNothing())
_EVAL = {"forwards": 4.0, "in_train_mode": 0.0, "modal": 0.0, "statistics_changed": 0.0, "declared": 1.0}
PASSES = (_case("perfect_oracle", [_EVAL]), _case("several", [_EVAL] * 3))
FAILS = (
    _case(
        "norm_in_train_mode",
        [{**_EVAL, "statistics_changed": 4, "in_train_mode": 4, "modal": 1}],
        "statistics_changed",
        4,
        subjects=["1"],
    ),
    _case("not_a_number", [{**_EVAL, "statistics_changed": float("nan")}]),
)
