"""learns_slowly: a loss that falls hardly at all, and as fast at the end as at the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, concluded, course, unfinished
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, not_applicable, not_recorded, warning
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import shape

LEAST = 10
"""Values from which the slope of either half is known."""
LEAST_FALL, FALL = 0.02, 0.15
"""Share of its first value that such a loss falls: less is nothing_learned, more is learning."""
STRAIGHT = (0.75, 1.5)
"""Slope of the second half as a multiple of that of the first; of a loss on its usual course it is below a half."""
CLEAN = 6.0
"""Multiples of a point's noise that the fall must be, for the slopes to be known."""


@dataclass(frozen=True, kw_only=True)
class LearnsSlowly(CurveCheck):
    """No training and validation loss fall along one straight line, by less than 15 %, until the run ends.

    A loss falls steeply first and then ever more slowly. Where the second half of the run falls as fast as the first,
    and both little, training has got no further than its first steps usually do.

    Why:
    A learning rate a hundred times too low gives a curve that falls in every epoch: it looks like progress, and after
    thirty epochs the model is where three steps would have brought it.

    Usual causes:
    - The learning rate is far too low, or a scheduler never left its warm-up.
    - Most parameters are frozen or not in the optimizer.
    - Gradients are clipped to a tiny norm, or a sum was divided twice.

    Fix:
    Train 200 steps at 10 and at 100 times the rate: where the loss falls at once, it was the rate.

    Healthy runs that must pass:
    A fine-tune that has little to gain and gains it first; a long plateau; a noisy loss; a reward.

    Source:
    An independent gallery: a regression at a rate a thousand times too low, judged healthy before. Severity: warns,
    since a run may be meant as a short one.
    """

    universal = True

    def judge(self, run: Run) -> Outcome:
        waiting = unfinished(run)
        if waiting is not None:
            return waiting
        if run.curves.rewards or run.curves.adversarial:
            return not_applicable("the losses of policies and of two players need not fall")
        curves = [c for c in (run.curves.epoch_losses, *run.curves.validation) if c is not None]
        if not curves:
            return not_recorded("no loss is recorded")
        known = [curve for curve in curves if len(curve) >= LEAST]
        if not known:
            return not_applicable(f"no loss is recorded {LEAST} times")
        values = sum(map(len, known))
        if all(map(_straight, known)):
            return warning(_finding(run, "straight", known[-1]), evaluated=values)
        return concluded(_finding(run, "bent", known[-1]), known, evaluated=values)


def _slopes(curve: Curve) -> tuple[float, float]:
    """Fall over each half, from lines through its values."""
    half = len(curve) // 2
    first, second = curve.values[: half + 1], curve.values[-half - 1 :]
    return -float(np.polyfit(np.arange(half + 1), first, 1)[0]), -float(np.polyfit(np.arange(half + 1), second, 1)[0])


def _straight(curve: Curve) -> bool:
    found = shape(curve.values)
    fall = found.first - found.last
    if found.first <= 0 or not LEAST_FALL < fall / found.first < FALL or fall < CLEAN * found.noise:
        return False
    before, after = _slopes(curve)
    return before > 0 and STRAIGHT[0] < after / before < STRAIGHT[1]


def _finding(run: Run, code: str, curve: Curve) -> Finding:
    before, after = _slopes(curve)
    return Finding(
        code=code,
        metric=curve.name,
        measured=float(curve.values[-1]),
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(*course(run, curve), Fact("fall_of_first_half", before), Fact("fall_of_second_half", after)),
        phrase="{metric} fell from {first} to {last}, as fast at the end as at the beginning"
        if code == "straight"
        else "{metric} went from {first} to {last}",
    )


_CHECK = LearnsSlowly()
_LOW = made.lines(30, 0.976, 0.893)
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, run_from({"train_loss": [0.0] * 12, "val_loss": [0.0] * 12})),
    made.case("amn_584k", _CHECK, made.val_run(made.AMN_584K_VAL)),
    made.case("bends", _CHECK, run_from({"train_loss": [1.0 - 0.1 * (1 - 0.8**i) for i in range(30)]})),
    made.case("plateau", _CHECK, run_from({"train_loss": [1.0] * 20 + made.lines(10, 1.0, 0.9)})),
    made.case("learns", _CHECK, run_from({"train_loss": made.lines(30, 1.0, 0.4)})),
    made.case("validation_bends", _CHECK, run_from({"loss": _LOW, "val_loss": [0.9] * 15 + made.lines(15, 0.9, 0.89)})),
)
_SUSPICIOUS: Sequence[Case] = (
    made.case("rate_too_low", _CHECK, run_from({"train_loss": _LOW}), "straight"),
    made.case(
        "with_validation", _CHECK, run_from({"train_loss": _LOW, "val_loss": made.lines(30, 0.934, 0.849)}), "straight"
    ),
)
FAILS: Sequence[Case] = tuple(replace(case, status=Status.WARNING) for case in _SUSPICIOUS)
