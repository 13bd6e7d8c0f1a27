"""learning_rate_too_low: the learning rate is so low that hardly anything moves."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import found, gradient_facts, rate, train_facts
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run, run_from


class LearningRateTooLow(Cause):
    """The loss falls steadily but very slowly, at a tiny learning rate."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        slow, used = evidence.failed("learns_slowly"), rate(evidence.run)
        finding = evidence.failed("nothing_learned") or slow or evidence.failed("beats_class_frequencies")
        tiny = used is not None and isinstance(used.value, float) and 0 < used.value <= TINY
        if finding is None or not (tiny or slow):
            return None
        return found(
            self,
            Standing.LIKELY if tiny else Standing.CONSISTENT,
            "the learning rate is tiny, and the loss hardly moves" if tiny else "the loss falls, and hardly moves",
            (
                *([used] if used else []),
                *finding_facts(finding),
                *train_facts(evidence.run),
                *gradient_facts(evidence.run),
            ),
            fix="raise the learning rate by 10 until the loss falls within a hundred steps",
            explain="learns_slowly" if slow else "nothing_learned",
            explains=(
                "nothing_learned",
                "learns_slowly",
                "loss_diverging",
                "metric_constant",
                "beats_class_frequencies",
            ),
            also=("not_learning",) if tiny else ("not_learning", "vanishing_gradient", "wrong_scale"),
            tell_apart="lr *= 100 for 200 steps: if the loss falls it was the rate",
        )


TINY = 2e-5
"""Learning rate at which a run that learns nothing is suspected of it."""


def _run(lr: float, losses: Sequence[float]) -> Run:
    return run_from({"train_loss": losses, "val_loss": [1.01 * loss for loss in losses], "lr": [lr] * len(losses)})


_SLOW = made.lines(20, 1.4, 1.394)
PASSES = (
    case("usual_rate", _run(1e-3, _SLOW)),
    case("fine_tune", _run(1e-5, made.lines(20, 1.4, 0.7))),
)
FAILS = (
    case("divided_by_1000", _run(2e-6, _SLOW), Standing.LIKELY),
    case("flat", _run(1e-8, wave(1.4, 0.01))),
    case("straight", _run(1e-3, made.lines(30, 0.976, 0.893)), Standing.CONSISTENT),
)
