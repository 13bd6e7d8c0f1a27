"""predictions_constant: an accuracy that stays on one value while training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, accuracies, concluded, share
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run

LEAST = 6
"""Evaluations in a row on one value."""
SAME, BETTER = 1e-9, 0.002
"""Difference up to which accuracies are one, and from which a later one is better."""
COARSE = 200
"""Rows of a validation set of which equal accuracies may be chance."""
LONG = 10
"""Evaluations of which most are on one value, of training and of validation rows, where every answer is the same."""
MEANS, EVEN = frozenset({"balanced", "uar"}), 1e-4
"""Words of means of recalls, and how near to a whole number one over such a mean is where it is one."""
HIGH = 0.9
"""Accuracy from which a plateau is that of a good model."""
FEWER = 0.5
"""Accuracy below which one class of several is given, and no common one of two."""
AT_START = 0.98
"""Share of its first value at which a validation loss has gained nothing."""
FELL, STILL, RATHER = 0.05, 0.05, 0.08
"""Share by which the training loss falls meanwhile, the validation loss at most in all, and losses that gain only the
frequencies of the classes."""


@dataclass(frozen=True, kw_only=True)
class PredictionsConstant(CurveCheck):
    """No accuracy has one and the same value in six evaluations from the start on while the training loss falls.

    Looked at: accuracies below 0.9 on more than 200 rows that are never better later, beside a validation loss that
    improves by 5 % at most. That warns, and fails where every validation loss ends next to where it began, or above. A
    balanced accuracy of 1/K in every evaluation fails, and accuracies of training and of validation rows that both keep
    one value through most of ten or more epochs.

    Why:
    A model that gives the commonest class whatever it sees has an accuracy that looks like a result. It is the share
    of that class, to the last digit, in every epoch.

    Usual causes:
    - The labels do not belong to the inputs, so that their frequencies are all there is to learn.
    - Classes are imbalanced, and the loss is not weighted.
    - The inputs are all alike after preprocessing, or the model has collapsed.

    Fix:
    Print the counts of predicted classes on validation data, and train on one batch until its loss is near 0.

    Healthy runs that must pass:
    A good model on its plateau; small validation sets; an accuracy that rises after all.

    Source:
    An independent gallery: a tagger whose tags belonged to other sentences. Severity: warns, since a plateau may look
    the same; fails where validation gains nothing from first to last.
    """

    def judge_ended(self, run: Run) -> Outcome:
        curves = [curve for curve in accuracies(run) if len(curve) >= LEAST]
        if not curves:
            return not_recorded(f"no accuracy is recorded {LEAST} times")
        train = run.curves.epoch_losses
        if train is None or len(train) < LEAST:
            return not_applicable("no training loss is recorded by epoch")
        values = sum(map(len, curves))
        both = _both_stand_still(run) or _one_class(curves)
        if both is not None:
            return failed(both, evaluated=values)
        if not any(_fell(curve, RATHER) for curve in (train, *run.curves.validation)):
            few = next((curve for curve in curves if _stuck(curve) >= LEAST and share(curve)[-1] < FEWER), None)
            if few is not None:
                return failed(_finding("constant_and_flat", few, Fact("evaluations", _stuck(few))), evaluated=values)
        if any(map(_learns, run.curves.validation)) or not _fell(train):
            return concluded(_finding("moves", curves[0]), curves, evaluated=values)
        for curve in curves:
            if (count := _stuck(curve)) >= LEAST:
                losses = [loss for loss in run.curves.validation if len(loss) >= LEAST]
                worse = bool(losses) and all(map(_ends_where_it_began, losses))
                said = _finding("constant", curve, Fact("evaluations", count))
                return (failed if worse else warning)(said, evaluated=values)
        return concluded(_finding("moves", curves[0]), curves, evaluated=values)


def _both_stand_still(run: Run) -> Finding | None:
    """An accuracy of training rows and one of validation rows that each keep one value: every answer is the same."""
    sides = [accuracies(run, split) for split in (Split.TRAIN, Split.VALIDATION)]
    counts = [max(((_at_rest(curve), curve.name, curve) for curve in side), default=None) for side in sides]
    if any(found is None or not found[0] for found in counts):
        return None
    count, _, curve = counts[1] or (0, "", sides[1][0])
    return _finding("constant_in_both", curve, Fact("evaluations", count))


def _one_class(curves: Sequence[Curve]) -> Finding | None:
    """A mean of recalls that is 1/K in every evaluation: of K classes one is always given."""
    for curve in curves:
        level = float(share(curve)[0])
        even = 0 < level <= 1 / 2 and abs(1 / level - round(1 / level)) < EVEN
        if MEANS & set(words(curve.name)) and even and float(np.ptp(share(curve))) < SAME:
            return _finding("constant_at_one_class", curve, Fact("evaluations", len(curve)))
    return None


def _at_rest(curve: Curve) -> int:
    """Evaluations at the end on one poor value, where these are most of ten or more; else 0."""
    values = share(curve)
    value = float(values[-1])
    row = np.flatnonzero(np.abs(values[::-1] - value) > SAME)
    count = int(row[0]) if len(row) else len(values)
    poor = 0 < value < HIGH and float(values.max()) <= value + BETTER
    return count if poor and len(values) >= LONG and 2 * count >= len(values) else 0


def _fell(curve: Curve, share_of_first: float = FELL) -> bool:
    return float(curve.values[0] - curve.values[-1]) > share_of_first * abs(float(curve.values[0]))


def _learns(curve: Curve) -> bool:
    return float(curve.values[0] - curve.values.min()) > STILL * abs(float(curve.values[0]))


def _ends_where_it_began(loss: Curve) -> bool:
    return float(np.median(loss.values[-3:])) >= AT_START * float(loss.values[0]) > 0


def _stuck(curve: Curve) -> int:
    """Evaluations in a row, from the first or second, on a value that is never beaten; 0 where that may be chance."""
    values = share(curve)
    value = float(values[1])
    row = np.flatnonzero(np.abs(values[1:] - value) > SAME)
    count = int(row[0]) if len(row) else len(values) - 1
    rows = value * COARSE
    chance = value >= HIGH or value == 0 or abs(rows - round(rows)) < 1e-6
    return 0 if chance or float(values.max()) > value + BETTER else count


def _finding(code: str, curve: Curve, *more: Fact) -> Finding:
    return Finding(
        code=code,
        metric=curve.name,
        measured=float(curve.values[1 if code == "constant" else -1]),
        unit=curve.role.unit,
        epoch=curve.place(len(curve) - 1)[0],
        evidence=more,
        phrase="{metric} is {measured} in {evaluations} evaluations in a row" if code.startswith("constant") else "",
    )


_case = made.Cases(PredictionsConstant())
_LOSS = made.lines(12, 1.08, 0.87)
_STUCK = [0.7628] * 8 + [0.7625, 0.7606, 0.7616, 0.7601]
PASSES = (
    _case(
        "only_validation_rests",
        {"train_loss": made.lines(14, 1.0, 0.3), "val_loss": made.lines(14, 1.0, 0.5)}
        | {"train_acc": made.lines(14, 0.5, 0.88), "val_acc": [0.6, *[0.8214] * 13]},
    ),
    _case("perfect_oracle", {"train_loss": [0.0] * 8, "val_accuracy": [1.0] * 8}),
    _case("rises", {"loss": _LOSS, "val_acc": [0.7628] * 8 + made.lines(4, 0.77, 0.9)}),
    _case("hundred_rows", {"loss": _LOSS, "val_acc": [0.76] * 12}),
    _case("good", {"loss": _LOSS, "val_acc": [0.9371] * 12}),
    _case("validation_learns", {"loss": _LOSS, "val_loss": _LOSS, "val_acc": _STUCK}),
)
_SUSPICIOUS: Sequence[Case] = (
    _case("commonest_class", {"loss": _LOSS, "val_acc": _STUCK}, "constant", evaluations=7),
    _case("percent", {"loss": _LOSS, "val_acc": [100 * v for v in _STUCK]}, "constant"),
)
_STILL = {"loss": _LOSS, "val_acc": _STUCK, "val_loss": made.lines(12, 0.925, 0.905, 0.936)}
FAILS = (
    _case(
        "one_of_five_classes",
        {"loss": _LOSS, "val_loss": made.lines(12, 1.5, 1.2), "val_balanced_accuracy": [0.2] * 12},
        "constant_at_one_class",
    ),
    _case(
        "every_answer_the_same",
        {"train_loss": [1344.0, 0.69, *[0.664] * 12], "val_loss": [0.7053, 0.67, *[0.6512] * 12]}
        | {"train_acc": [0.4452, 0.5214, *[0.6214] * 12], "val_acc": [0.3557, *[0.6443] * 13]},
        "constant_in_both",
    ),
    *(replace(case, status=Status.WARNING) for case in _SUSPICIOUS),
    _case("validation_gains_nothing", _STILL, "constant"),
)
