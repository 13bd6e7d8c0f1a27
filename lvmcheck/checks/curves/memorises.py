"""memorises: what is learned on the training set shows on the validation set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._by_heart import by_heart
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.curves._curves import CurveCheck, concluded, improved, share
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import constant_from, shape

LEAST = 4
"""Evaluations from which a lack of progress is no chance."""
LEARNED, GAINED = 0.1, 0.1
"""The training loss is at most this share of its first value; validation gained at most this share of its own."""
BY_HEART = 0.02
"""Share of its first value at which a training loss has no error left: validation counts as it ends."""
LONG, BEFORE = 8, 0.9
"""Evaluations of a validation loss that stays where it began, and share of the first training loss that this is."""
BOUNDED = (Quantity.ACCURACY, Quantity.COSINE)
STILL, FALLEN = 10, 0.25
"""Evaluations of a poor score that stands still while the training loss falls by this share."""
MANIFOLD = 1.5
"""Times its first level that a score of small numbers ends at when it gained."""
GAP = 0.4
"""Difference of a bounded score (accuracy, cosine) between the sets, beside a validation score that gained little."""

FIRST, TRAINED = 2, 0.7
"""Step up to which a recorded loss is that of an untrained model, and share of it that training fell to."""
ABOVE, SAME_UNIT = 1.05, 10.0
"""Times the loss of the untrained model that validation is above throughout, and from which it has another unit."""


@dataclass(frozen=True, kw_only=True)
class Memorises(CurveCheck):
    """Where the training loss fell to a tenth, validation improved by more than a tenth of its first value as well.

    A score that both sets have (accuracy, cosine) may not be 0.4 higher in training than in validation while validation
    gained less than a quarter of that, nor may a score below 0.5 gain nothing in ten evaluations while the training
    loss falls by a quarter, nor may a validation loss stay in eight evaluations where it began, which is where training
    began, while the training loss halves; nor may it be above the loss of the untrained model (the first recorded step)
    in every evaluation, and not fall, while training falls to 70 % of that. Nor may a run go on for half of its length
    with a training loss below 6 % of its first value while validation stays above 35 % and its accuracy below 0.82, and
    neither gains. Validation that is good from its first value on (a fine-tune) passes.

    Why:
    A model that memorises looks like a success in its training metrics: a recurrent net with 7.4 million parameters and
    8,106 sequences was announced as working with a train cosine of 0.498, and had 0.027 in validation.

    Usual causes:
    - Too few samples for the number of parameters.
    - Labels of the validation set do not belong to its inputs, or its inputs are prepared in another way.
    - Labels are random, or the split leaves whole classes or sources out of training.

    Fix:
    Evaluate the training set in the validation loop: if it is as bad as validation, the loop is at fault; if it is
    good, the data are too few, or differ.

    Healthy runs that must pass:
    A fine-tune whose validation is good from the first value on; a validation loss far above the training loss that
    fell a good part of its way; a validation loss that rises with confidence beside an accuracy that is good, or rises.

    Source:
    lvm_training_results_2025_10_13. Severity: fails, because nothing that was learned is of use on new data.
    """

    def judge_ended(self, run: Run) -> Outcome:
        pairs = [(val, train) for val in run.curves.evaluations if (train := run.curves.partner(val)) is not None]
        pairs = [(val, train) for val, train in pairs if val.role.split is Split.VALIDATION]
        if not pairs:
            return not_recorded("no metric is recorded on training and on validation data")
        long = [(val, train) for val, train in pairs if len(val) >= LEAST and len(train) >= LEAST]
        if not long or run.curves.adversarial:
            return not_applicable(f"fewer than {LEAST} evaluations" if not long else "GAN losses")
        for val, train in long:
            if val.role.quantity in BOUNDED:
                finding = _score_gap(val, train)
            else:
                finding = _memorised(run, val, train) or _apart(run, val, train) or _untrained(run, val, train)
                code = by_heart(run, val, train) if finding is None else None
                finding = finding if code is None else _finding(code, val, train)
            if finding is not None:
                return failed(finding, evaluated=len(long))
        for val in run.curves.scores:
            trained = run.curves.epoch_losses
            finding = _stands_still(val, trained) if val.role.split is not Split.TRAIN else None
            if finding is not None:
                return failed(finding, evaluated=len(long))
        return concluded(_finding("generalises", *long[0]), [c for pair in long for c in pair], evaluated=len(long))


def _memorised(run: Run, val: Curve, train: Curve) -> Finding | None:
    learned, found = shape(train.values), shape(val.values)
    if not 0 <= learned.last < LEARNED * learned.first or not found.low > 0:
        return None
    start = max(found.first, float(val.values[0]))
    gained = start - (found.last if learned.last < BY_HEART * learned.first else found.low)
    if gained > GAINED * start or found.last < 5 * learned.last or found.last < 0.2 * learned.first:
        return None
    scores = [score for score in run.curves.scores if score.role.split is Split.VALIDATION]
    held = [score for score in scores if _fine(score)]
    return None if held else _finding("validation_stands_still", val, train)


def _apart(run: Run, val: Curve, train: Curve) -> Finding | None:
    """A validation loss that stays where it began, not below that of training, while training halves its own."""
    learned, first, last = shape(train.values), float(val.values[0]), float(np.median(val.values[-3:]))
    if constant_from(val.values) == 0:
        return None  # see metric_constant
    if len(val) < LONG or not 0 < learned.last < 0.5 * learned.first or not float(val.values.min()) > 0:
        return None
    if (
        first < BEFORE * float(train.values[0])
        or last < 2 * learned.last
        or abs(float(val.values.min())) < 0.97 * first
    ):
        return None
    scores = [score for score in run.curves.scores if score.role.split is Split.VALIDATION]
    agree = [score for score in scores if score.role.quantity is not Quantity.R2 and _fine(score)]
    return None if agree else _finding("validation_apart", val, train)


def _untrained(run: Run, val: Curve, train: Curve) -> Finding | None:
    """A validation loss that is never as low as the first training loss was, nor falls, while training learns."""
    windows = run.curves.window_losses
    if windows is None or windows.steps[0] > FIRST or val.role.quantity is not Quantity.LOSS or val.role.group:
        return None
    untrained, low = float(windows.values[0]), float(val.values.min())
    learned = 0 < shape(train.values).last < TRAINED * untrained
    if not learned or not ABOVE * untrained < low < SAME_UNIT * untrained or low < 0.95 * float(val.values[0]):
        return None
    scores = [score for score in run.curves.scores if score.role.split is Split.VALIDATION and _fine(score)]
    return None if scores else _finding("above_untrained", val, train, Fact("untrained_loss", untrained))


def _fine(score: Curve) -> bool:
    """Whether a validation score is good, or got clearly better."""
    if score.role.quantity in (Quantity.ACCURACY, Quantity.COSINE):
        values = share(score)
        return float(np.median(values[-3:])) > 0.7 or float(values.max() - values[0]) > 0.15
    return score.role.quantity not in (Quantity.ERROR, Quantity.R2, Quantity.PERPLEXITY) and improved(score)


def _stands_still(val: Curve, train_loss: Curve | None) -> Finding | None:
    """A poor bounded score that gained nothing while the training loss fell by a quarter."""
    if train_loss is None or len(val) < STILL or val.role.quantity not in (*BOUNDED, Quantity.R2):
        return None
    b, loss = share(val), shape(train_loss.values)
    gain = max(float(np.median(b[-3:]) - b[0]), float(np.median(b) - b[0]))
    if improved(val) and float(np.median(b[-3:])) > MANIFOLD * float(np.median(b[:3])) >= 0:
        return None  # a small number by its nature, as a recall among many thousands
    falls = loss.last < (1 - FALLEN) * loss.first and loss.first > 0
    least = 0.01 if improved(val) else max(0.01, 1.5 * shape(b).noise)
    return _finding("validation_stands_still", val, train_loss) if falls and gain < least and b.max() < 0.5 else None


def _score_gap(val: Curve, train: Curve) -> Finding | None:
    a, b = share(train), share(val)
    gap, gain = float(np.median(a[-3:]) - np.median(b[-3:])), float(b.max() - b[0])
    gained = float(a[-1] - a[0])
    if val.role.quantity is not train.role.quantity or gap <= GAP or gain >= 0.25 * gained:
        return None
    return _finding("score_gap", val, train, Fact("gap", gap))


def _finding(code: str, val: Curve, train: Curve, *more: Fact) -> Finding:
    return Finding(
        code=code,
        metric=val.name,
        measured=float(np.median(val.values[-2:])),
        epoch=val.place(len(val) - 1)[0],
        evidence=(
            Fact("validation_first", float(val.values[0])),
            Fact("validation_last", float(val.values[-1])),
            Fact("train_metric", train.name),
            Fact("train_first", float(train.values[0])),
            Fact("train_last", float(train.values[-1])),
            *more,
        ),
        phrase="{train_metric} went from {train_first} to {train_last}, "
        "{metric} from {validation_first} to {validation_last}",
    )


_case = made.Cases(Memorises())
_TRAIN = made.lines(20, 2.8, 0.5, 0.1, 0.01)
_OVERCONFIDENT = {"train_loss": made.lines(12, 2.3, 0.1, 0.01, 0.003), "val_loss": made.lines(12, 2.2, 0.6, 0.9, 1.1)}
PASSES = (
    _case("perfect_oracle", {"train_loss": [0.0] * 5, "val_loss": [0.0] * 5}),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL, train_cosine=made.AMN_584K_TRAIN)),
    _case("generalises", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.7, 1.0, 0.9)}),
    _case(
        "recall_among_many_thousands",
        {"loss": made.lines(12, 0.69, 0.3), "val_loss": made.lines(12, 0.68, 0.4)}
        | {"recall@10": made.lines(12, 0.003, 0.011)},
    ),
    _case("interpolates_and_is_good", {**_OVERCONFIDENT, "val_acc": made.lines(12, 0.3, 0.88, 0.9)}),
    _case("interpolates_and_still_gains", {**_OVERCONFIDENT, "val_acc": made.lines(12, 0.3, 0.65, 0.7, 0.75)}),
    _case(
        "validation_good_from_its_first_value_on",
        {"train_loss": made.lines(12, 0.9, 0.3), "val_loss": made.lines(12, 0.5, 0.49)},
    ),
    _case("fine_tune", {"loss": _TRAIN, "eval_loss": made.lines(20, 0.62, 0.60), "eval_accuracy": [0.9] * 20}),
)
FAILS = (
    _case(
        "another_vocabulary",
        made.window_run([4.8], steps=1).extended(
            run_from({"train_loss": made.lines(6, 3.3, 2.3), "val_loss": [5.38, 5.3, 5.48, 5.56, 5.57, 5.57]}).events
        ),
        "above_untrained",
        untrained_loss=4.8,
    ),
    _case(
        "sixty_four_rows",
        {"train_loss": made.lines(40, 2.3, 0.05, 0.01), "val_loss": made.lines(40, 2.3, 1.3, 1.27, 1.27)}
        | {"val_acc": made.lines(40, 0.1, 0.59, 0.60, 0.60)},
        "learned_by_heart",
    ),
    _case(
        "rows_and_labels_off_by_one",
        {"train_loss": made.lines(15, 0.38, 0.209, 0.199, 0.189), "val_loss": made.lines(15, 0.2117, 0.219)}
        | {"val_mAP": made.lines(15, 0.053, 0.063)},
        "validation_only_rises",
    ),
    _case(
        "score_without_a_split",
        {"train_loss": made.lines(20, 2.1, 0.5), "val_loss": made.lines(20, 9.6, 10.1, 9.2)}
        | {"recall@5": wave(0.02, 0.004)},
        "validation_stands_still",
    ),
    _case(
        "average_that_hardly_moves",
        {"train_mse": made.lines(12, 0.816, 0.24, 0.22), "valid_mse": made.lines(12, 0.866, 0.862)},
        "validation_apart",
    ),
    _case(
        "back_to_nothing",
        {"loss": made.lines(60, 0.92, 0.02, 0.003), "val_loss": made.lines(60, 0.79, 0.67, 0.74, 0.76)},
        "validation_stands_still",
    ),
    _case(
        "noise_learned_by_heart",
        {"train_mse": _TRAIN, "valid_mse": made.lines(20, 2.96, 2.75, 2.81)},
        "validation_stands_still",
    ),
    _case(
        "mamba2_october_13",
        {"train_cosine": made.MAMBA2_TRAIN, "val_cosine": made.lines(20, 0.0125, 0.0280, 0.0266)},
        "score_gap",
    ),
)
