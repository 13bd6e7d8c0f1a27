"""settles: what is evaluated does not jump about to the end of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._curves import (
    CurveCheck,
    accuracies,
    aligned,
    concluded,
    course,
    improved,
    lower_is_better,
    share,
)
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import noise, trend

LEAST = 10
"""Evaluations whose second half shows whether they settle."""
JUMPS, TRAIN = 0.1, 0.05
"""Noise of a validation loss in the second half, as a share of its level, and that of the training loss."""
HIGH = 0.3
"""Share of its first value above which a loss is not next to its floor, where all noise is large."""
LESS, OFTEN = 0.7, 0.8
"""Share of the accuracy of validation that training stays below, and share of the epochs in which it does."""
GOOD = 0.5
"""Accuracy of validation beside which training may be the harder task."""
RISES = 1.5
"""Deviates of a trend from which the second half still gains something."""


@dataclass(frozen=True, kw_only=True)
class Settles(CurveCheck):
    """A validation loss does not keep jumping to the end of a run beside an unsteady training loss.

    Both are asked for in the second half: a validation loss above 0.3 of its first value with a noise of a tenth of its
    level, a mean training loss by epoch with a noise of 5 %, neither with a trend, and no evaluated score that rises.
    Or a training accuracy below 0.7 of that of validation in four of five epochs, beside a training loss as noisy: the
    model knows least of what it sees next.

    Why:
    One validation set and one model that learns give nearly the same loss from one epoch to the next. Where it jumps,
    each epoch ends wherever its last batches drove the model.

    Usual causes:
    - The rows are sorted by class or source and never shuffled: the model is what it saw last.
    - The learning rate is far too high.
    - The validation set is drawn anew, and tiny.

    Fix:
    Shuffle the training rows. Then divide the learning rate by 10: the jumps must become small.

    Healthy runs that must pass:
    A noisy loss next to its floor; a rate that is high at first and decays; a validation loss that jumps beside a
    training loss that falls smoothly; rewards and two players.

    Source:
    An independent gallery: rows sorted by class, and a rate of 5 for Adam, both healthy to every other check. Severity:
    the order fails; jumps alone warn, since a small validation set jumps as well.
    """

    def judge_ended(self, run: Run) -> Outcome:
        train = run.curves.epoch_losses
        losses = [c for c in run.curves.validation if c.role.quantity is Quantity.LOSS]
        if train is None or not losses:
            return not_recorded("no training loss beside a validation loss is recorded")
        if run.curves.rewards or run.curves.adversarial:
            return not_applicable("policy and GAN losses need not settle")
        long = [curve for curve in losses if min(len(curve), len(train)) >= LEAST]
        if not long:
            return not_applicable(f"fewer than {LEAST} evaluations")
        values, scores = sum(map(len, long)), [c for c in run.curves.scores if c.role.split is not Split.TRAIN]
        rising = any(trend(_late(lower_is_better(score))) < -RISES for score in scores if len(score) >= LEAST)
        restless = _noise(train) > TRAIN and abs(trend(_late(train.values))) < RISES
        if _noise(train) > TRAIN and _surprised(run):
            return failed(_finding(run, "surprised", long[0], train), evaluated=values)
        for curve in long:
            if not rising and restless and _restless(curve):
                return warning(_finding(run, "restless", curve, train), evaluated=values)
        return concluded(_finding(run, "settles", long[0], train), [train, *long], evaluated=values)


def _late(values: np.ndarray) -> np.ndarray:
    return values[len(values) // 2 :]


def _noise(curve: Curve) -> float:
    """Noise of the second half as a share of its level."""
    late = _late(curve.values)
    level = abs(float(np.median(late)))
    return noise(late) / level if level else 0.0


def _restless(curve: Curve) -> bool:
    late = _late(curve.values)
    high = float(np.median(late)) > HIGH * float(curve.values[0]) > 0
    return high and _noise(curve) > JUMPS and abs(trend(late)) < RISES


def _surprised(run: Run) -> bool:
    """Whether nearly every epoch is trained with fewer right answers than are given after it."""
    trained, evaluated = accuracies(run, Split.TRAIN), accuracies(run, Split.VALIDATION)
    if not trained or not evaluated or min(len(trained[0]), len(evaluated[0])) < LEAST:
        return False
    before, after = aligned(trained[0], evaluated[0])
    if improved(evaluated[0]) and float(np.median(share(evaluated[0])[-3:])) >= GOOD:
        return False  # mixed labels, dropout or heavy augmentation: answers get better and stay
    same = trained[0].role.unit == evaluated[0].role.unit
    return same and len(before) >= LEAST and float((before < LESS * after).mean()) >= OFTEN


def _finding(run: Run, code: str, curve: Curve, train: Curve) -> Finding:
    bad = code == "restless"
    return Finding(
        code=code,
        metric=curve.name,
        measured=_noise(curve),
        bounds=(ceiling(JUMPS),) if bad or _noise(curve) <= JUMPS else (),
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(*course(run, curve), Fact("train_noise", _noise(train))),
        phrase=_PHRASES[code],
    )


_PHRASES = {
    "restless": "{metric} jumps from one evaluation to the next by {measured} of its level to the end",
    "surprised": "training is less accurate than validation in nearly all epochs, and its loss jumps by {train_noise}",
    "settles": "",
}
_case = made.Cases(Settles())
_VAL = [2.28, 2.14, 2.16, 1.88, 2.32, 2.02, 2.82, 1.96, 2.5, 1.9, 2.4, 1.95]
_TRAIN = [2.63, 2.48, 2.46, 2.38, 2.61, 2.65, 2.25, 2.45, 2.27, 2.4, 2.1, 2.3]
PASSES = (
    _case("perfect_oracle", {"train_loss": [0.0] * 12, "val_loss": [0.0] * 12}),
    _case("next_to_its_floor", {"loss": _TRAIN, "val_loss": [9.0, *_VAL[1:]]}),
    _case(
        "mixed_labels",
        {"train_loss": _TRAIN, "val_loss": made.lines(12, 1.6, 0.4, 0.32)}
        | {"train_acc": [0.3, 0.5, 0.46, 0.48, 0.6, 0.55] * 2, "val_acc": made.lines(12, 0.3, 0.85, 0.92)},
    ),
    _case("training_is_smooth", {"loss": made.lines(12, 2.3, 1.0), "val_loss": _VAL}),
    _case("scores_rise", {"loss": _TRAIN, "val_loss": _VAL, "acc": made.lines(12, 0.1, 0.8)}),
)
_ORDERED = {"train_acc": [0.06, 0.003, 0.07, 0.11, 0.1, 0.04] * 2, "val_acc": [0.12, 0.22, 0.17, 0.42, 0.26, 0.24] * 2}
FAILS = (
    _case("sorted_by_class", {"train_loss": _TRAIN, "val_loss": _VAL, **_ORDERED}, "surprised"),
    _case(
        "rate_of_5",
        {"train_loss": [24.0, 10.0, *[7.0, 5.9, 6.7] * 4], "val_loss": [13.0, 8.7, *[6.2, 7.6, 5.4] * 4]},
        "restless",
        status=Status.WARNING,
    ),
)
