"""same_unit: an accuracy has one unit in training and in validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, aligned, concluded, unfinished
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import TRAIN, VALIDATION, Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run, run_from

LEAST = 5
"""Epochs in which both are recorded."""
SUMMED = (1.2, 40.0)
"""Times that one accuracy is of another: more than any difference of data, and less than percent are of shares."""
STEADY = 0.35
"""Relative spread of a factor that is a count."""


@dataclass(frozen=True, kw_only=True)
class SameUnit(CurveCheck):
    """An accuracy above 1 beside one below 1 is a percentage, and not a steady multiple of 1.2 to 40.

    Compared are accuracies of training and of validation that differ in nothing else by name. Shares beside percentages
    are left alone.

    Why:
    An accuracy of 3.1 is read as 3.1 % or not at all. It is a sum over batches that was divided by the wrong count, and
    the loss beside it is, too.

    Usual causes:
    - A sum over batches is divided by the batches of the other set, or by nothing.
    - Counts of right answers are divided by the number of batches, not of rows.

    Fix:
    Add up right answers and rows, and divide once at the end.

    Healthy runs that must pass:
    Percent beside shares; a validation that is far worse or far better.

    Source:
    An independent gallery: validation summed, training averaged. Severity: fails, since no accuracy is above 1.
    """

    universal = True

    def judge(self, run: Run) -> Outcome:
        waiting = unfinished(run)
        if waiting is not None:
            return waiting
        pairs = list(_pairs(run))
        if not pairs:
            return not_recorded("no accuracy is recorded for training and for validation")
        long = [(low, high) for low, high in pairs if len(aligned(low, high)[0]) >= LEAST]
        if not long:
            return not_applicable(f"fewer than {LEAST} epochs with both")
        for low, high in long:
            a, b = aligned(low, high)
            mixed = float(low.values.max()) <= 1 < float(np.median(high.values)) and float(low.values.min()) > 0
            factor = b / a if mixed else np.zeros(1)
            times, spread = float(np.median(factor)), float(factor.std())
            if mixed and SUMMED[0] < times < SUMMED[1] and spread < STEADY * times:
                return failed(_finding("summed", low, high, times), evaluated=len(a))
        low, high = long[0]
        return concluded(_finding("one_unit", low, high, 1.0), [low, high], evaluated=len(low))


def _pairs(run: Run) -> Iterator[tuple[Curve, Curve]]:
    """Accuracies of one name on two splits, the lower one first."""
    known = [c for c in run.curves.of(Quantity.ACCURACY, Quantity.SCORE) if not c.by_step and _counts(c)]
    for train in known:
        for other in known:
            if (
                train.role.split is Split.TRAIN
                and other.role.split is Split.VALIDATION
                and _bare(train) == _bare(other)
            ):
                yield (train, other) if train.values.max() <= other.values.max() else (other, train)


def _counts(curve: Curve) -> bool:
    return bool({"acc", "accuracy", "top1"} & set(words(curve.name)))


def _bare(curve: Curve) -> tuple[str, ...]:
    return tuple(word for word in words(curve.name) if word not in TRAIN | VALIDATION)


def _finding(code: str, low: Curve, high: Curve, times: float) -> Finding:
    return Finding(
        code=code,
        metric=high.name,
        measured=float(high.values[-1]),
        epoch=high.place(len(high) - 1)[0],
        evidence=(Fact("other", float(low.values[-1])), Fact("times", times, "x")),
        phrase="{metric} is {measured}, {times} times the other split's {other}: a sum, not a mean"
        if code == "summed"
        else "",
    )


_CHECK = SameUnit()
_ACC = made.lines(12, 0.6, 0.9, 0.97)
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, run_from({"train_acc": [1.0] * 6, "val_acc": [1.0] * 6})),
    made.case("percent", _CHECK, run_from({"train_acc": _ACC, "val_acc": [95 * v for v in _ACC]})),
    made.case("far_worse", _CHECK, run_from({"train_acc": _ACC, "val_acc": [0.2] * 12})),
)
FAILS: Sequence[Case] = (
    made.case("summed", _CHECK, run_from({"train_acc": _ACC, "val_acc": [3.2 * v for v in _ACC]}), "summed"),
    made.case("training", _CHECK, run_from({"val/accuracy": _ACC, "train/accuracy": [8 * v for v in _ACC]}), "summed"),
)
