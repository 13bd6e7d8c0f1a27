"""loss_floor: the training loss does not rest on the floor of a wrong criterion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, accuracies, classes, concluded, share
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.view import Run, run_from

NEAR = 0.01
"""Relative distance from the floor."""
GOOD = 0.8
"""Accuracy from which a loss of a whole nat is no honest one."""
MOST = 12.0
"""First loss from which no number of classes is inferred."""
LEAST = 4
"""Values from which a loss can rest."""


@dataclass(frozen=True, kw_only=True)
class LossFloor(CurveCheck):
    """A classifier whose accuracy is good does not end at ln(e + K - 1) - 1, the least that softmax of softmax gives.

    K is the stated number of classes, or the one that the first loss implies (ln K). The accuracy must be above 0.8.

    Why:
    Cross entropy applies softmax itself. Given probabilities it cannot fall below ln(e + K - 1) - 1 (1.46 for ten
    classes), gradients are small, and training is slow: nothing crashes.

    Usual causes:
    - The model ends in Softmax, and the criterion is CrossEntropyLoss.
    - Sigmoid before BCEWithLogitsLoss.

    Fix:
    Return logits from the model, and apply softmax only where probabilities are shown.

    Healthy runs that must pass:
    Label smoothing, whose floor is another; a classifier that is simply not good.

    Source:
    Severity: fails, since the value is the signature of this fault.
    """

    def judge_ended(self, run: Run) -> Outcome:
        scores = accuracies(run)
        losses = [c for c in (run.curves.epoch_losses, *run.curves.validation) if c is not None and len(c) >= LEAST]
        if not scores or not losses:
            return not_recorded("no accuracy is recorded beside a loss")
        best = max(float(share(curve).max()) for curve in scores)
        if best < GOOD:
            return not_applicable("no accuracy is above 0.8, so the loss need not be near its floor")
        for curve in losses:
            count = classes(run) or round(math.exp(min(float(curve.values[0]), MOST)))
            level = float(np.median(curve.values[-3:]))
            floor = math.log(math.e + count - 1) - 1 if count >= 2 else 0.0
            rest = curve.values[-max(LEAST, len(curve) // 3) :]
            rests = float(np.ptp(rest)) < NEAR * floor and float(curve.values.min()) > (1 - NEAR / 4) * floor
            if count >= 2 and abs(level / floor - 1) < NEAR and rests:
                return failed(_finding("double_softmax", curve, level, floor, best), evaluated=len(curve))
        last = float(np.median(losses[0].values[-3:]))
        return concluded(_finding("no_floor", losses[0], last, 0.0, best), losses, evaluated=len(losses))


def _finding(code: str, curve: Curve, level: float, floor: float, accuracy: float) -> Finding:
    found = code == "double_softmax"
    return Finding(
        code=code,
        metric=curve.name,
        measured=level,
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(*([Fact("floor", floor)] if found else []), Fact("accuracy", accuracy)),
        phrase="{metric} stays at {measured}, the lowest loss that a double softmax allows ({floor})" if found else "",
    )


_case = made.Cases(LossFloor())
_SOFT = {"train_loss": made.lines(12, 2.08, 1.275, 1.2745, 1.274), "val_acc": made.lines(12, 18.0, 99.0)}
PASSES = (
    _case("perfect_oracle", {"train_loss": [1e-9] * 5, "val_acc": [1.0] * 5}),
    _case("classifier", {"train_loss": made.lines(12, 2.3, 0.2), "val_acc": made.lines(12, 0.1, 0.93)}),
    _case("label_smoothing", {"train_loss": made.lines(12, 2.3, 0.52), "val_acc": made.lines(12, 0.1, 0.9)}),
)
FAILS = (
    _case("stated", run_from(_SOFT, config={"num_classes": 8}), "double_softmax", floor=1.2735),
    _case("implied", _SOFT, "double_softmax"),
)
