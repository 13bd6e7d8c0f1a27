"""loss_terms_balanced: no term of the loss with a large weight drowns the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._curves import improved
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import LEVELS
from lvmcheck.checks.watch._watched import Cases, Watched, case_run, names, watched
from lvmcheck.run.events import MODELS, Epoch, Watch
from lvmcheck.run.view import Run

RATIO = 100.0
WEIGHT, OVER = 10.0, 100.0
"""A weight that is raised, and how many times it is above that of the next term."""
AT_FIRST = 10.0
"""Ratio in the first looks that is enough where no evaluation gets better."""
AUXILIARY = 0.1
"""Weight, as a share of that of the next term, of what was meant to be small beside it."""


@dataclass(frozen=True, kw_only=True)
class LossTermsBalanced(Watched):
    """No term of the loss has 100 times the gradient of the next one, at the outputs of the model, in four looks in
    a row, by a weight that was raised (above 10, and more than 100 times that of the next) or although its weight is
    a tenth of that of the next. Ten times in the first three looks are enough, by a weight ten times that of the next,
    where no evaluation of the whole run gets better.

    Why:
    Gradients decide which term is optimised, not values. The term with a thousandth of the gradient is along for
    the ride: the curve of the total falls, and the task that counts is not learned.

    Usual causes:
    - A weight that was tuned for a mean and now multiplies a sum, or the reverse.
    - A weight with the wrong sign of its exponent.
    - A term of another unit (a squared error of large targets) beside a cross entropy.

    Fix:
    Choose the weight so that the gradient of the second term is a tenth to a hundredth of that of the main one.

    Healthy runs that must pass:
    A main loss of weight 1 with a small regulariser, an entropy bonus, a divergence that warms up; a reconstruction of
    weight 100 beside an adversarial term; several watched models (GANs); terms that are not seen, because
    the loss is made in one function.

    Source:
    This project's list of faults in training loops: one loss term dominating by gradient, also at a small weight.
    """

    exempt = LEVELS
    event = "addend_gradients"
    streak = 4

    def decide(self, run: Run) -> Outcome:
        if any(event.name == MODELS for event in run.of(Watch)):
            return not_recorded("several models are watched: their losses are not terms of one loss")
        outcome = super().decide(run)
        starved = self._starved(run) if outcome.status is Status.PASSED else None
        return failed(starved, evaluated=outcome.evaluated) if starved is not None else outcome

    def _starved(self, run: Run) -> Finding | None:
        """A raised weight that ruled at first, in a run in which no evaluation ever gets better."""
        events, evaluations = watched(run, self.event), run.curves.evaluations
        if len(events) < self.streak or not evaluations or any(map(improved, evaluations)):
            return None
        first = events[: self.streak - 1]
        lower = any(e.values.get("weight", 0.0) < WEIGHT * e.values.get("weight_of_next", math.inf) for e in first)
        if lower or any(e.values.get("ratio", 0.0) < AT_FIRST for e in first):
            return None
        last, bounds = first[-1], (ceiling(AT_FIRST),)
        return replace(self.look(last), code="starved", measured=last.values["ratio"], bounds=bounds, step=last.step)

    def look(self, event: Watch) -> Finding:
        of = event.values
        ratio, weight, other = (of.get(key, math.nan) for key in ("ratio", "weight", "weight_of_next"))
        meant = AUXILIARY * other < weight <= max(WEIGHT, OVER * other)
        return Finding(
            code="one_rules",
            measured=min(ratio, 1.0) if meant else ratio,
            bounds=(ceiling(RATIO),),
            evidence=(
                Fact("weight", weight),
                Fact("weight_of_next", other),
                Fact("ratio", ratio),
                *names(event, "which"),
            ),
            phrase="one loss term has {ratio} times the gradient of the next (weights {weight} and {weight_of_next})",
        )


def _evaluated(losses: Sequence[float]) -> Run:
    sample = {"ratio": 14.0, "weight": 100.0, "weight_of_next": 1.0, "addends": 2}
    epochs = [Epoch(epoch=i, step=10 * i, metrics={"val_loss": v}) for i, v in enumerate(losses, start=1)]
    return case_run("addend_gradients", [sample] * 5).extended(epochs)


_CHECK = LossTermsBalanced()
_case = Cases(_CHECK)
_RULES = {"ratio": 1100.0, "weight": 500.0, "weight_of_next": 1.0, "addends": 2}
PASSES = (
    _case("perfect_oracle", [{**_RULES, "ratio": 1.0, "weight": 1.0}] * 5),
    _case("small_regulariser", [{**_RULES, "ratio": 2000.0, "weight": 1.0, "weight_of_next": 0.01}] * 5),
    made.case("ruled_at_first_and_learned", _CHECK, _evaluated(made.lines(12, 3.6, 0.9))),
    _case("reconstruction_beside_an_adversary", [{**_RULES, "ratio": 400.0, "weight": 100.0}] * 5),
)
FAILS = (
    made.case("collapsed_at_once", _CHECK, _evaluated([3.6] * 12), "starved", 14.0),
    _case(
        "value_loss_times_500",
        [_RULES] * 4,
        "one_rules",
        1100.0,
        subjects=["MseLoss (2)", "Mean (1)"],
        step=4,
        weight=500.0,
    ),
    _case("sum_with_a_small_weight", [{**_RULES, "weight": 0.01}] * 4, "one_rules", 1100.0),
    _case("not_a_number", [{**_RULES, "ratio": float("nan")}] * 4),
)
