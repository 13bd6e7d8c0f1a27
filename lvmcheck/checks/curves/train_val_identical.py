"""train_val_identical: training and validation are not the same measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, aligned, concluded
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import TRAIN, Quantity, words
from lvmcheck.run.view import Run

LEAST = 3
"""Evaluations that must agree."""
SAME = 1e-9
"""Relative difference up to which two figures are one."""


@dataclass(frozen=True, kw_only=True)
class TrainValIdentical(CurveCheck):
    """No metric has the same value on training and validation data, to a billionth, in every evaluation.

    Why:
    Two sets never give the same number twice: the validation figures are those of the training set, and say nothing
    about new data.

    Usual causes:
    - The validation loader was built from the training set.
    - The same variable is logged under both names.
    - Both splits are read from one file, or the split was made after a copy.

    Fix:
    Print the length and the first sample of both loaders.

    Healthy runs that must pass:
    A metric that is 0 or 1 on both; rounded figures that agree now and then.

    Source:
    A shortcut seen in practice. Severity: fails, since it cannot happen by chance.
    """

    def judge_ended(self, run: Run) -> Outcome:
        pairs = [(val, train) for val in run.curves.evaluations if (train := run.curves.partner(val)) is not None]
        if not pairs:
            return not_recorded("no metric is recorded on training and on validation data")
        compared = 0
        for val, train in pairs:
            if train.role.quantity is not Quantity.LOSS and not TRAIN & set(words(train.name)):
                continue  # without a set in its name it may be the same figure by another name
            a, b = aligned(train, val)
            compared += len(a)
            if len(a) >= LEAST and np.ptp(b) > 0 and bool((np.abs(a - b) <= SAME * np.abs(b)).all()):
                return failed(_finding("identical", val, train, len(a)), evaluated=compared)
        if not compared:
            return not_applicable("training and validation are recorded at different epochs")
        return concluded(
            _finding("different", *pairs[0], compared), [c for pair in pairs for c in pair], evaluated=compared
        )


def _finding(code: str, val: Curve, train: Curve, count: int) -> Finding:
    return Finding(
        code=code,
        metric=val.name,
        measured=float(val.values[-1]),
        epoch=val.place(len(val) - 1)[0],
        evidence=(Fact("train", float(train.values[-1])), Fact("train_metric", train.name), Fact("evaluations", count)),
        phrase="{metric} equals {train_metric} in all of {evaluations} evaluations" if code == "identical" else "",
    )


_case = made.Cases(TrainValIdentical())
_FALL = made.lines(8, 2.3, 0.4)
PASSES = (
    _case("perfect_oracle", {"train_loss": [0.0] * 5, "val_loss": [0.0] * 5}),
    _case("close", {"train_loss": _FALL, "val_loss": [value * 1.001 for value in _FALL]}),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL, train_cosine=made.AMN_584K_TRAIN)),
)
FAILS = (
    _case("same_loader", {"train_loss": _FALL, "val_loss": _FALL}, "identical", evaluations=8),
    _case("same_errors", {"loss": _FALL, "train_mse": _FALL[::-1], "valid_mse": _FALL[::-1]}),
)
