"""validation_in_scale: what validation measures is of the size that training and its own accuracy allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import Bound, ceiling, floor
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.curves._curves import CurveCheck, accuracies, concluded, share
from lvmcheck.checks.curves._errors import COST, LEAST, RIGHT, STAYS, answers, nats_per_error
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run, run_from

TIMES = 10.0
"""Times the highest training loss that no validation loss of the same measure is above throughout."""
WILD, CALMER = 0.35, 3.0
"""Median step of the logarithm of a loss that jumps about, and times that of the training loss."""
LOWEST, LEARNED = 0.7, 0.25
"""Shares of its beginning below which such a loss never was, and to which training fell."""
PAST, ENDLESS, GOOD = 1000.0, 100.0, 0.9
"""Times its training loss, and nats, that a classifier's validation loss ends at beside an accuracy below that."""
DECIBEL = -3.0
"""PSNR of an error that is twice the square of the largest signal."""
GRAVE = (
    "sum_of_rows",
    "far_above_and_wild",
    "far_above_and_rising",
    "far_above_at_the_end",
    "errors_cost_too_much",
    "psnr_below_zero",
)
"""What fails; the others warn."""


@dataclass(frozen=True, kw_only=True)
class ValidationInScale(CurveCheck):
    """No validation loss is ten times every training loss, nor high beside a good accuracy; no PSNR stays below 0.

    A validation loss or error above ten times the highest training value of the same measure in every evaluation fails
    where it also jumps about (a third from one evaluation to the next), or is more than 15 nats for each wrong answer
    while errors and loss fall (a sum over rows or batches), else warns: it may have another unit. A
    validation loss that stays where training began, while three of four answers are right and training fell to a
    quarter, fails where a wrong answer costs more than 15 nats. A classifier's validation loss above 100 and a thousand
    times that of training through the second half fails where its accuracy ends below 0.9. A PSNR below -3 dB in every
    evaluation fails.

    Why:
    An input that is prepared otherwise than in training often leaves the accuracy nearly as it is, and makes the model
    wildly sure of what it gets wrong: the loss shows it.

    Usual causes:
    - Validation inputs or targets are not normalised, are scaled twice (255 for 1), or exp is applied twice.
    - The validation loss is a sum over samples or batches.
    - PSNR is computed for a peak of 1 with images of 0 to 255.

    Fix:
    Print minimum, maximum, mean and deviation of one batch of each loader, and evaluate a training batch in the
    validation loop.

    Healthy runs that must pass:
    An overconfident model whose validation loss rises after a low minimum; a score in the units of the target beside a
    loss on scaled targets (another measure); gradient accumulation.

    Source:
    Shortcuts seen in practice. Severity: fails where no unit explains it, else warns.
    """

    def judge_ended(self, run: Run) -> Outcome:
        if run.curves.adversarial or run.curves.rewards:
            return not_applicable("GAN and policy losses have no common scale")
        pairs = list(_pairs(run))
        psnr = [c for c in run.curves.of(Quantity.SCORE) if "psnr" in words(c.name)]
        long = [(val, train) for val, train in pairs if len(val) >= LEAST and len(train) >= LEAST]
        if not pairs and not psnr:
            return not_recorded("nothing is recorded that training and validation measure alike")
        findings = [
            _far_above(run, val, train) or _costs(run, val, train) or _endless(run, val, train) for val, train in long
        ]
        findings += [_noise(curve) for curve in psnr if len(curve) >= 4]
        if not findings:
            return not_applicable(f"fewer than {LEAST} evaluations")
        bad = [finding for finding in findings if finding is not None]
        grave = next((finding for finding in bad if finding.code in GRAVE), None)
        if grave is not None:
            return failed(grave, evaluated=len(findings))
        if bad:
            return warning(bad[0], evaluated=len(findings))
        curve = long[0][0] if long else psnr[0]
        return concluded(
            _finding("in_scale", curve), [c for pair in pairs for c in pair] + psnr, evaluated=len(findings)
        )


def _pairs(run: Run) -> Iterator[tuple[Curve, Curve]]:
    """Losses and errors of validation with those of training that have the same name but for the split."""
    for val in run.curves.of(Quantity.LOSS, Quantity.ERROR, split=Split.VALIDATION):
        train = run.curves.partner(val)
        if train is not None and train.role.quantity is val.role.quantity:
            yield val, train


def _rises_beside_a_score(run: Run, val: Curve, train: Curve) -> bool:
    """Whether a loss far above training rises to twice its first value while answers and training get better."""
    better = float(np.median(train.values[-3:])) < float(train.values[0])
    risen = float(np.median(val.values[-3:])) > 2 * float(val.values[0]) > 0
    scores = [c for c in accuracies(run, Split.VALIDATION) if len(c) >= 3 and c.values[-3:].mean() > c.values[0]]
    return better and risen and bool(scores)


def _far_above(run: Run, val: Curve, train: Curve) -> Finding | None:
    highest, lowest = float(np.abs(train.values).max()), float(val.values.min())
    if not highest > 0 or lowest <= TIMES * highest:
        return None
    late = np.log(val.values[len(val) // 2 - 1 :])
    steps = float(np.median(np.abs(np.diff(late))))
    known = train.values[train.values > 0]
    calm = float(np.median(np.abs(np.diff(np.log(known[len(known) // 2 - 1 :]))))) if len(known) == len(train) else 0.0
    code = "far_above_and_wild" if steps > max(WILD, CALMER * calm) else "far_above"
    if code == "far_above" and _rises_beside_a_score(run, val, train):
        code = "far_above_and_rising"
    cost = nats_per_error(run, val) if code == "far_above" else None
    return _finding(
        code if cost is None else "sum_of_rows",
        val,
        Fact("train_metric", train.name),
        Fact("highest_in_training", highest),
        Fact("lowest_in_validation", lowest),
        *(() if cost is None else (Fact("nats_per_error", cost),)),
        bound=ceiling(TIMES * highest, "ten times the highest of training"),
    )


def _costs(run: Run, val: Curve, train: Curve) -> Finding | None:
    """A loss that is as high as at the beginning beside answers most of which are right."""
    start = max(float(train.values[0]), float(val.values[0]))
    learned = 0 < float(np.median(train.values[-3:])) < LEARNED * float(train.values[0])
    level = float(np.median(val.values[len(val) // 2 :]))
    if val.role.quantity is not Quantity.LOSS or not learned or not start > 0:
        return None
    if level < STAYS * start or float(val.values.min()) < LOWEST * start:
        return None
    for right, losses in answers(run, val):
        half = slice(len(right) // 2, None)
        cost = float(np.median(losses[half] / np.maximum(1 - right[half], 1e-3)))
        if float(np.median(right[-3:])) >= RIGHT and cost > COST:
            shown = Fact("accuracy", float(np.median(right[half])))
            return _finding("errors_cost_too_much", val, shown, Fact("nats_per_error", cost))
    return None


def _endless(run: Run, val: Curve, train: Curve) -> Finding | None:
    """A classifier's loss of hundreds of nats beside a training loss a thousand times smaller, and poor answers."""
    half = slice(len(val) // 2, None)
    level, highest = float(np.median(val.values[half])), float(train.values[len(train) // 2 :].max())
    poor = [c for c in accuracies(run, Split.VALIDATION) if len(c) >= LEAST and float(share(c)[-1]) < GOOD]
    if not poor or val.role.quantity is not Quantity.LOSS or not level > max(ENDLESS, PAST * highest) > 0:
        return None
    return _finding("far_above_at_the_end", val, Fact("train_metric", train.name), Fact("highest_in_training", highest))


def _noise(curve: Curve) -> Finding | None:
    best = float(curve.values.max())
    return _finding("psnr_below_zero", curve, bound=floor(DECIBEL, "its definition")) if best < DECIBEL else None


_PHRASES = {
    "sum_of_rows": "{metric} is never below {lowest_in_validation}, {train_metric} never above {highest_in_training}: "
    "at least {nats_per_error} nats for each wrong answer",
    "far_above": "{metric} is never below {lowest_in_validation}, {train_metric} never above {highest_in_training}",
    "far_above_and_wild": "{metric} jumps about and is never below {lowest_in_validation}, {train_metric} never above "
    "{highest_in_training}",
    "far_above_and_rising": "{metric} rises and is never below {lowest_in_validation}, {train_metric} never above "
    "{highest_in_training}, while the answers get better",
    "far_above_at_the_end": "{metric} ends at {measured}, {train_metric} below {highest_in_training}",
    "errors_cost_too_much": "{metric} stays at {measured} beside an accuracy of {accuracy}: {nats_per_error} nats for "
    "a wrong answer",
    "psnr_below_zero": "{metric} is {measured}: the error is larger than the signal can be",
}


def _finding(code: str, curve: Curve, *facts: Fact, bound: Bound | None = None) -> Finding:
    return Finding(
        code=code,
        metric=curve.name,
        measured=float(np.median(curve.values[-3:])),
        bounds=(bound,) if bound is not None else (),
        epoch=curve.place(len(curve) - 1)[0],
        evidence=facts,
        phrase=_PHRASES.get(code, ""),
    )


_case = made.Cases(ValidationInScale())
_TRAIN = made.lines(15, 2.1, 0.3, 0.05, 0.02)
PASSES = (
    _case("diverges_at_the_end", {"val_psnr": [8.0, 12.0, *made.lines(8, 14.0, -40.0)]}),
    _case("perfect_oracle", {"train_loss": [0.0] * 8, "val_loss": [0.0] * 8}),
    _case("amn_584k", {"train_mse": made.mse_of(made.AMN_584K_TRAIN), "val_mse": made.mse_of(made.AMN_584K_VAL)}),
    _case(
        "overconfident",
        run_from({"train_loss": _TRAIN, "val_loss": made.lines(15, 1.5, 0.4, 0.8, 1.6)}).extended(
            run_from({"val_acc": made.lines(15, 0.5, 0.9, 0.92)}).events
        ),
    ),
    _case(
        "another_measure",
        {"loss": made.lines(10, 0.9, 0.2), "val_loss": made.lines(10, 0.9, 0.3), "val_mae": wave(9e3, 4e3, 10)},
    ),
    _case("noise_at_first", {"val_psnr": [-8.0, 2.0, *made.lines(8, 14.0, 21.0)]}),
)
FAILS = (
    _case(
        "loss_of_whole_sequences",
        {"train_loss": _TRAIN, "val_loss": made.lines(15, 60.0, 40.0, 35.0), "val_acc": made.lines(15, 0.3, 0.6)},
        "far_above",
        status=Status.WARNING,
    ),
    _case(
        "not_divided_by_the_rows",
        {"train_loss": _TRAIN, "val_loss": made.lines(15, 615.0, 153.0, 124.0)}
        | {"val_acc": made.lines(15, 0.69, 0.91, 0.93)},
        "sum_of_rows",
    ),
    _case(
        "weights_that_were_blown_up",
        {"train_loss": [1.9e6, 1.8e6, *made.lines(14, 1.2, 0.7)], "val_loss": [4e6, 2e6, *[1.27e5] * 14]}
        | {"val_acc": [0.89, 0.79, *[0.4765] * 14]},
        "far_above_at_the_end",
    ),
    _case(
        "not_normalised",
        {"train_loss": _TRAIN, "val_loss": wave(2.2, 0.4, 15), "val_acc": made.lines(15, 0.6, 0.9, 0.92)},
        "errors_cost_too_much",
    ),
    _case(
        "exp_applied_twice",
        {"nll": made.lines(8, -2.3, -4.5), "val_nll": [1e7, 1e13, 2e13, 6e11, 5e10, 3e9, 6e8, 7e9]},
        "far_above_and_wild",
    ),
    _case(
        "pixels_of_255",
        {
            "train_loss": made.lines(10, 1.3, 0.75),
            "test_loss": [40.0, 52.0, 63.0, 76.0, 88.0, 95.0, 105.0, 118.0, 126.0, 133.0],
            "test_acc": made.lines(10, 0.46, 0.56),
        },
        "far_above_and_rising",
    ),
    _case("scaled_by_255", {"val_psnr": made.lines(10, -29.0, -27.0)}, "psnr_below_zero"),
)
