"""train_val_ratio: training and validation loss are on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._curves import CurveCheck, accuracies, aligned, concluded, improved, number
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run, run_from

LEAST = 4
"""Evaluations from which a ratio can be constant."""
LOW = 2.5
"""Times from which a constant ratio is no dropout."""
SPREAD = 0.12
"""Relative spread of a ratio that is constant."""
LARGE, LOOSE = 4.0, 0.3
"""Times from which a ratio is a fault of the scale, in the first epoch, too, and the spread that it may have."""
ENOUGH, HARDLY = 8, 0.02
"""Evaluations that say that validation gains nothing, and share of its first value that is next to nothing."""
SMALLEST, AT_LOG, BELOW = 16, 0.015, 0.5
"""Batch size, relative distance from its logarithm, and share of the training loss of a first validation loss."""
WHOLE = 0.03
"""Relative distance from a whole number."""


@dataclass(frozen=True, kw_only=True)
class TrainValRatio(CurveCheck):
    """The training loss is not a constant multiple of the validation loss, nor of the other sign, from the beginning.

    Compared in every evaluation: the mean loss of an epoch's steps with the validation loss, and with a training loss
    or error that is recorded by epoch. A ratio above 2.5 that stays within 12 % while the loss falls fails where it is
    near a whole number that the config holds (accumulation, batch size, number of processes) or, for losses that the
    loop reports by step, near any whole number, or where the ratio exceeds 4 in the first epoch, too, within 30 %, and
    the loss is no sum of terms; else it warns. A classifier's training loss that begins within 1.5 % of the logarithm
    of the batch size fails where the first validation loss is less than half of it. A training loss below 0 beside a
    validation loss above 0 throughout warns; it fails at -1 in the end, and where it falls while validation gains less
    than 2 % in eight evaluations.

    Why:
    A loss that is summed over accumulated batches, or over a batch instead of averaged, has gradients that many times
    too large. With Adam nothing else shows it.

    Usual causes:
    - Micro-batches are accumulated without dividing the loss by their number.
    - reduction="sum" in training and "mean" in validation.
    - The training loss is the log-likelihood of probabilities without a log (it ends at -1).

    Fix:
    Divide the loss by the number of accumulated batches; use one criterion for both sets.

    Healthy runs that must pass:
    Dropout, label smoothing and augmentation, which raise the training loss by less than this or not constantly.

    Source:
    Severity: fails where a whole factor is found, else warns.
    """

    def judge_ended(self, run: Run) -> Outcome:
        pairs = list(_pairs(run))
        if not pairs:
            return not_recorded("no training loss is recorded beside a validation loss")
        normed = _over_the_batch(run)
        if normed is not None:
            return failed(normed, evaluated=len(pairs))
        compared: list[Finding] = []
        for train, other in pairs:
            a, b = aligned(train, other)
            if len(a) < LEAST:
                continue
            finding = _compare(run, train, other, a, b)
            compared.append(finding)
            apart = finding.code == "other_sign" and _gains_nothing(train, other)
            if apart or finding.code in ("whole_multiple", "ends_at_minus_one", "large_multiple"):
                return failed(finding, evaluated=len(compared))
        suspicious = next((finding for finding in compared if finding.code != "one_scale"), None)
        if suspicious is not None:
            return warning(suspicious, evaluated=len(compared))
        if not compared:
            return not_applicable(f"fewer than {LEAST} evaluations can be compared")
        return concluded(compared[0], [curve for pair in pairs for curve in pair], evaluated=len(compared))


def _over_the_batch(run: Run) -> Finding | None:
    """A classifier whose training loss begins at the logarithm of its batch size, and whose validation is far below."""
    size, windows, first = number(run, "batch_size"), run.curves.window_losses, run.curves.train
    if size is None or size < SMALLEST or windows is None or first is None or not accuracies(run, Split.VALIDATION):
        return None
    means = run.curves.epoch_means or run.curves.epoch_losses
    if means is None or not len(means) or abs(float(windows.values[0]) / math.log(size) - 1) >= AT_LOG:
        return None
    for other in run.curves.validation:
        if other.role.quantity is Quantity.LOSS and float(other.values[0]) < BELOW * float(means.values[0]):
            return _finding("at_ln_of_batch", means, other, float(means.values[0] / other.values[0]), 1, int(size))
    return None


def _gains_nothing(train: Curve, other: Curve) -> bool:
    """Whether a loss of validation gains less than 2 % in eight evaluations, while that of training falls."""
    gained = float(other.values[0] - other.values.min())
    flat = len(other) >= ENOUGH and gained < HARDLY * abs(float(other.values[0]))
    return flat and other.role.quantity is Quantity.LOSS and improved(train)


def _pairs(run: Run) -> Iterator[tuple[Curve, Curve]]:
    curves = run.curves
    if curves.adversarial or curves.rewards:
        return
    train = curves.epoch_means or curves.epoch_losses
    if train is None:
        return
    named = [curve for curve in curves.of(Quantity.LOSS, Quantity.ERROR, split=Split.TRAIN) if not curve.by_step]
    validation = [other for other in curves.validation if _may_be_one_measure(other)]
    for other in (*validation, *named):
        if other is not train and other.name != train.name:
            yield train, other
    plain = next((curve for curve in named if curve.role.quantity is Quantity.LOSS), None)
    if plain is not None and train is not plain:
        for other in validation:
            yield plain, other


def _may_be_one_measure(curve: Curve) -> bool:
    """A loss, or an error that is a usual loss: the root of an error is none of what is optimised."""
    return curve.role.quantity is Quantity.LOSS or bool({"mse", "mae", "l1", "nll"} & set(words(curve.name)))


def _compare(run: Run, train: Curve, other: Curve, a: np.ndarray, b: np.ndarray) -> Finding:
    if (a < 0).all() and (b > 0).all() and other.role.split is Split.VALIDATION:
        code = "ends_at_minus_one" if abs(float(a[-1]) + 1) < 0.1 and float(a.min()) >= -1.001 else "other_sign"
        return _finding(code, train, other, float(a[-1] / b[-1]), len(a))
    if not (a > 0).all() or not (b > 0).all():
        return _finding("one_scale", train, other, 0.0, len(a))
    ratios = a[1:] / b[1:]  # the mean of the first epoch holds its fall
    ratio = float(np.median(ratios))
    spread = float(np.quantile(ratios, 0.9) - np.quantile(ratios, 0.1)) / ratio
    moved = float(np.ptp(b)) / float(np.median(b))
    large = min(ratio, float(a[0] / b[0])) > LARGE and len(a) >= LEAST and not _terms(run)
    if ratio < LOW or spread > (LOOSE if large else SPREAD) or moved < 0.5 * spread or moved < 0.03:
        return _finding("one_scale", train, other, ratio, len(a))
    factor = min([*_numbers(run.config), round(ratio)], key=lambda known: abs(ratio / known - 1))
    whole = abs(ratio / factor - 1) < (2 * WHOLE if factor in _numbers(run.config) else WHOLE) and factor < 20
    whole = whole or (factor in _numbers(run.config) and abs(ratio / factor - 1) < 2 * WHOLE)
    code = "whole_multiple" if whole and spread <= SPREAD else "large_multiple" if large else "constant_multiple"
    if factor not in _numbers(run.config) and train is not run.curves.epoch_means:
        code = "constant_multiple"  # how the column of a file was averaged says nothing of the gradient
    return _finding(code, train, other, ratio, len(a), factor)


def _terms(run: Run) -> bool:
    """Whether the training loss is a sum of terms, of which validation may have one."""
    return any(len(window.terms) > 1 for window in run.windows[:1]) or bool(
        [role for role in run.curves.roles.values() if role.quantity is Quantity.TERM]
    )


def _numbers(config: Mapping[str, object]) -> set[int]:
    """Whole numbers of the config that a loss may have been multiplied by."""
    return {v for v in config.values() if isinstance(v, int) and not isinstance(v, bool) and 2 < v <= 100_000}


def _finding(code: str, train: Curve, other: Curve, ratio: float, count: int, factor: int = 0) -> Finding:
    phrases = {
        "whole_multiple": "{metric} is {factor} times {other_metric} in {evaluations} evaluations",
        "large_multiple": "{metric} is {measured} {other_metric} in {evaluations} evaluations, from the first on",
        "constant_multiple": "{metric} is {measured} {other_metric} in {evaluations} evaluations",
        "ends_at_minus_one": "{metric} ends at -1 beside a {other_metric} above 0",
        "at_ln_of_batch": "{metric} begins at the logarithm of the batch size {factor}, {measured} {other_metric}",
        "other_sign": "{metric} is below 0 beside a {other_metric} above 0",
    }
    bad = code in ("whole_multiple", "constant_multiple", "large_multiple")
    return Finding(
        code=code,
        metric=train.name,
        measured=ratio,
        unit="x",
        bounds=(ceiling(LOW),) if bad else (),
        epoch=other.place(len(other) - 1)[0],
        evidence=(
            Fact("other_metric", other.name),
            Fact("evaluations", count),
            *([Fact("factor", factor)] if factor else []),
        ),
        phrase=phrases.get(code, "{metric} is {measured} {other_metric}"),
    )


_case = made.Cases(TrainValRatio())
_FALL = made.lines(8, 2.9, 2.2, 2.0)
PASSES = (
    _case("perfect_oracle", {"train_loss": [0.0] * 5, "val_loss": [0.0] * 5}),
    _case(
        "root_of_an_error",
        {"train_loss": [99 * v for v in _FALL], "val_mse": [99 * v for v in _FALL], "val_rmse": _FALL},
    ),
    _case("dropout", {"train_loss": [1.6 * v for v in _FALL], "val_loss": _FALL}),
    _case("falls_below_validation", {"train_loss": made.lines(8, 2.0, 0.1), "val_loss": made.lines(8, 2.0, 0.5)}),
)
FAILS = (
    _case(
        "normalised_over_the_batch",
        replace(
            made.window_run([4.16, *made.lines(79, 4.1, 2.9, 2.8)], config={"batch_size": 64}),
            done={"status": "finished"},
        ).extended(run_from({"val_loss": made.lines(8, 1.4, 0.5), "val_acc": made.lines(8, 0.4, 0.84)}).events),
        "at_ln_of_batch",
    ),
    _case(
        "accumulation_summed",
        run_from({"loss": [8.02 * v for v in _FALL], "eval_loss": _FALL}, config={"accumulation": 8}),
        "whole_multiple",
        factor=8,
    ),
    _case(
        "sign_of_the_log_determinant",
        {"train_loss": made.lines(10, -5.0, -18.0, -20.3), "val_nll": [27.7, *[27.67] * 9]},
        "other_sign",
    ),
    _case(
        "no_log",
        {"train_loss": made.lines(8, -0.13, -0.96, -0.9999), "val_loss": made.lines(8, 2.05, 0.05)},
        "ends_at_minus_one",
    ),
)
