"""learns_slowly: a loss that falls hardly at all, and as fast at the end as at the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.curves._curves import SURE, CurveCheck, concluded, course, number
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve, evened
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape, trend

LEAST = 10
"""Values from which the slope of either half is known."""
WINDOWS = 20
"""Windows of steps from which they stand for epochs that are too few."""
LEAST_FALL, FALL = 0.02, 0.15
"""Share of its first value that such a loss falls: less is nothing_learned, more is learning."""
STRAIGHT = (0.75, 1.5)
"""Slope of the second half as a multiple of that of the first; of a loss on its usual course it is below a half."""
LONG, TINY = 20, 1e-5
"""Epochs from which a run is long, and a rate at which that is no chance."""
MOST, FROM, LITTLE, MANY = 0.6, -0.3, 0.3, 400
"""Share of the evaluations whose R2 is below 0, the first of them, the last, and too many to be epochs."""
HARDLY = 0.05
"""Share that training and validation loss fall by in a long run where nothing is meant to be learned so slowly."""
CLEAN = 6.0
"""Multiples of a point's noise that the fall must be, for the slopes to be known."""


@dataclass(frozen=True, kw_only=True)
class LearnsSlowly(CurveCheck):
    """No training and validation loss fall along one straight line, by less than 15 %, until the run ends.

    That warns, and fails in a run of 20 epochs where the rate is known and at most 1e-5, or both losses fall by less
    than 5 %. An R2 that begins below -0.3, is below 0 in most of 20 or more evaluations and ends below 0.3
    fails: the mean of the targets is better.

    A loss falls steeply first and then ever more slowly. Where the second half of the run falls as fast as the first,
    and both little, training has got no further than its first steps usually do.

    Why:
    A learning rate a hundred times too low gives a curve that falls in every epoch: it looks like progress, and after
    thirty epochs the model is where three steps would have brought it.

    Usual causes:
    - The learning rate is far too low, or a scheduler never left its warm-up.
    - Most parameters are frozen or not in the optimizer.
    - Gradients are clipped to a tiny norm, or a sum was divided twice.
    - Targets are in thousands, and neither scaled nor logged.

    Fix:
    Train 200 steps at 10 and at 100 times the rate: where the loss falls at once, it was the rate.

    Healthy runs that must pass:
    A fine-tune that has little to gain and gains it first; a long plateau; a noisy loss; a reward.

    Source:
    An independent gallery: a regression at a rate a thousand times too low, judged healthy before. Severity: warns,
    since a run may be meant as a short one, and fails where the rate or the mean of the targets says that it is not.
    """

    def judge_ended(self, run: Run) -> Outcome:
        if run.curves.rewards or run.curves.adversarial:
            return not_applicable("policy and GAN losses need not fall")
        epochs, windows = run.curves.epoch_losses, run.curves.window_losses
        few = windows is not None and len(windows) >= WINDOWS and (epochs is None or len(epochs) < LEAST)
        curves = [c for c in (evened(windows) if few and windows else epochs, *run.curves.validation) if c is not None]
        if not curves:
            return not_recorded("no loss is recorded")
        known = [curve for curve in curves if len(curve) >= LEAST]
        if not known:
            return not_applicable(f"no loss is recorded {LEAST} times")
        values = sum(map(len, known))
        below = _below_mean(run)
        if below is not None:
            return failed(_finding(run, "below_mean", below), evaluated=values)
        if all(map(_straight, known)):
            rate = run.curves.rate
            used = float(rate.values.max()) if rate is not None and len(rate) else number(run, "lr", "learning_rate")
            long = len(known) > 1 and min(map(len, known)) >= LONG
            tiny = long and all(_fall(curve) < HARDLY for curve in known)
            tiny = tiny or (used is not None and 0 < used <= TINY and min(map(len, known)) >= LONG)
            return (failed if tiny else warning)(_finding(run, "straight", known[-1]), evaluated=values)
        return concluded(_finding(run, "bent", known[-1]), known, evaluated=values)


def _below_mean(run: Run) -> Curve | None:
    """An R2 that needs most of a long run to get as good as the mean of the targets, and hardly gets beyond it."""
    for curve in run.curves.of(Quantity.R2):
        values = curve.values
        if curve.role.split is Split.TRAIN or len(values) < LONG or float(values[0]) > FROM or len(values) > MANY:
            continue
        slow = float((values < 0).mean()) >= MOST and float(values[-1]) < LITTLE
        if slow and trend(values) > SURE and float(np.diff(values).max()) < 0.5:
            return curve
    return None


def _slopes(curve: Curve) -> tuple[float, float]:
    """Fall over each half, from lines through its values."""
    half = len(curve) // 2
    first, second = curve.values[: half + 1], curve.values[-half - 1 :]
    places = curve.steps if curve.by_step and np.ptp(curve.steps) > 0 else np.arange(len(curve))
    early, late = places[: half + 1], places[-half - 1 :]
    return -float(np.polyfit(early, first, 1)[0]), -float(np.polyfit(late, second, 1)[0])


def _fall(curve: Curve) -> float:
    """Share of its first value that a loss fell by."""
    found = shape(curve.values)
    return (found.first - found.last) / found.first if found.first > 0 else 0.0


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
        phrase=_PHRASES[code],
    )


_PHRASES = {
    "straight": "{metric} fell from {first} to {last}, as fast at the end as at the beginning",
    "below_mean": "{metric} is below 0, worse than the mean of the targets, in most evaluations, and {last} at last",
    "bent": "{metric} went from {first} to {last}",
}
_case = made.Cases(LearnsSlowly())
_LOW = made.lines(30, 0.976, 0.893)
PASSES = (
    _case("perfect_oracle", {"train_loss": [0.0] * 12, "val_loss": [0.0] * 12}),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    _case("bends", {"train_loss": [1.0 - 0.1 * (1 - 0.8**i) for i in range(30)]}),
    _case("plateau", {"train_loss": [1.0] * 20 + made.lines(10, 1.0, 0.9)}),
    _case("learns", {"train_loss": made.lines(30, 1.0, 0.4)}),
    _case("bad_start", {"loss": made.lines(30, 9.0, 0.4, 0.3), "r2": made.lines(30, -9, 0.6, 0.7)}),
    _case("validation_bends", {"loss": _LOW, "val_loss": [0.9] * 15 + made.lines(15, 0.9, 0.89)}),
)
_SUSPICIOUS: Sequence[Case] = (
    _case("rate_too_low", {"train_loss": _LOW}, "straight"),
    _case("with_validation", {"train_loss": _LOW, "val_loss": made.lines(30, 0.934, 0.849)}, "straight"),
)
_RAW = {"train_loss": [3e4 * 0.96**i for i in range(30)], "r2": made.lines(30, -1.3, -0.4, 0.08)}
FAILS = (
    *(replace(case, status=Status.WARNING) for case in _SUSPICIOUS),
    _case("rate_of_3e-6", {"train_loss": _LOW, "lr": [3e-6] * 30}, "straight"),
    _case("targets_of_thousands", _RAW, "below_mean"),
)
