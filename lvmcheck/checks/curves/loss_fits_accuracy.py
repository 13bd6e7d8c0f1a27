"""loss_fits_accuracy: a cross-entropy and an accuracy of the same answers do not contradict each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import Bound, ceiling, floor
from lvmcheck.checks.curves._curves import CurveCheck, concluded, share
from lvmcheck.checks.curves._softmaxes import pairs, two_softmaxes
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.events import Watch
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import trend

LEAST, LONG = 4, 8
"""Evaluations that must contradict each other, and from which a loss that hardly moves is at rest."""
SHORT = 0.1
"""Share of answers that is missing to what the loss guarantees."""
CONSISTENT, CERTAIN = 0.02, 0.25
"""How far training may be beyond what its loss guarantees, and share of answers that validation lacks to fail."""
FAIR = 0.3
"""Accuracy that nobody has by chance."""
FACTOR, STILL, SCALE = 1.4, 0.05, 0.2
"""Times the largest honest loss, and shares that the validation and the training loss move by."""
OF_TOKENS = frozenset({"token", "tokens", "tok", "masked", "mask", "mlm", "char", "next"})
"""Words of accuracies that count tokens, as a loss with a perplexity does."""
OF_ONE_CLASS = frozenset({"precision", "recall", "sensitivity", "specificity", "balanced", "macro"})


@dataclass(frozen=True, kw_only=True)
class LossFitsAccuracy(CurveCheck):
    """The accuracy is at least 1 - loss / ln 2, and the loss is one that such an accuracy can have.

    A wrong answer has a probability of at most a half, which costs ln 2 nats; so a mean cross-entropy of L leaves at
    least 1 - L / ln 2 of the answers right. Where a perplexity that is exp(loss) shows that a loss is a mean
    cross-entropy, an accuracy of tokens that is 0.1 below that in the median of four or more evaluations warns. The
    other way, a loss that moves by less than 5 % in eight or more evaluations, while at least 0.3 of the first answers
    are right, warns where it is 1.4 times what Fano's inequality allows an honest model of that accuracy, and the
    training loss is above that, too. A training loss that rests within 4 % above ln(1 + (K - 1) / e), having begun at
    ln K, beside an accuracy of 0.85 fails: that is the least that softmax before a cross-entropy allows. So does a
    validation loss within 2 % of that and the share of wrong answers, four times in a row. A validation accuracy 0.25
    below what its loss guarantees fails where training's own loss and accuracy fit each other throughout.

    Why:
    Two figures of the same answers check each other. A masked model that is scored on all tokens has a loss of 0.3 and
    a third of its masked tokens right; softmax before a cross-entropy leaves the loss near ln K however good the
    ranking is.

    Usual causes:
    - The loss is averaged over other tokens than the accuracy: padding, tokens that are not masked.
    - The targets of the loss leak, or it is divided by the wrong count.
    - Softmax is applied twice, or similarities are not divided by a temperature.

    Fix:
    Compute both for one batch by hand over the same answers. Look at the largest probability of a right answer.

    Healthy runs that must pass:
    Accuracies of whole sequences, of one class or of a probe; focal, margin and squared losses; label smoothing; a
    model that is overconfident because it overfits.

    Source:
    Arithmetic and Fano's inequality. Severity: warns, since a name does not say what a loss is averaged over; two
    softmaxes fail.
    """

    def judge_ended(self, run: Run) -> Outcome:
        twice = two_softmaxes(run)
        if twice is not None:
            return failed(twice, evaluated=len(run.curves.epoch_losses or ()))
        found = list(pairs(run))
        if not found:
            return not_recorded("no validation loss with an accuracy of the same evaluations is recorded")
        long = [pair for pair in found if len(pair[0]) >= LEAST]
        if not long:
            return not_applicable(f"fewer than {LEAST} evaluations")
        values = sum(len(loss) for loss, _ in long)
        for loss, accuracy in long:
            finding = _contradicts(run, loss, accuracy)
            if finding is not None:
                return failed(finding, evaluated=values)
        for loss, accuracy in long:
            finding = _too_few_right(run, loss, accuracy) or _too_high(run, loss, accuracy)
            if finding is not None:
                return warning(finding, evaluated=values)
        loss, accuracy = long[0]
        return concluded(_finding("fits", loss, accuracy, None), [loss, accuracy], evaluated=values)


def _too_few_right(run: Run, loss: Curve, accuracy: Curve) -> Finding | None:
    """Fewer right answers than a mean cross-entropy of that size guarantees."""
    said = set(words(accuracy.name))
    if OF_ONE_CLASS & said or not OF_TOKENS & said or not _of_perplexity(run, loss):
        return None
    least = 1 - loss.values / math.log(2)
    if float(np.median(least - share(accuracy))) <= SHORT:
        return None
    return _finding("accuracy_below_loss", loss, accuracy, floor(float(np.median(least)), "1 - loss / ln 2"))


def _contradicts(run: Run, loss: Curve, accuracy: Curve) -> Finding | None:
    """Far fewer right answers in validation than its loss guarantees, while those of training fit their loss."""
    late = slice(len(loss) // 2, None)
    lacks = (1 - loss.values / math.log(2) - share(accuracy))[late]
    least = float(np.median(1 - loss.values[late] / math.log(2)))
    if float(np.median(lacks)) <= CERTAIN:
        return None
    if _one_answer_a_row(run) and _of_first_answers(accuracy) and not OF_ONE_CLASS & set(words(accuracy.name)):
        return _finding("accuracy_contradicts_loss", loss, accuracy, floor(least, "1 - loss / ln 2"))
    trained, right = run.curves.partner(loss), run.curves.partner(accuracy)
    plain = trained is not None and right is not None and right.role.quantity is Quantity.ACCURACY
    if not plain or trained is None or right is None or not _of_first_answers(accuracy):
        return None
    if len(trained) != len(right) or len(trained) != len(loss):
        return None
    fits = share(right) - (1 - trained.values / math.log(2))
    if float(fits.min()) < -CONSISTENT:
        return None
    return _finding("accuracy_contradicts_loss", loss, accuracy, floor(least, "1 - loss / ln 2"))


def _one_answer_a_row(run: Run) -> bool:
    """Whether a plain cross entropy of one class a row was watched, whose loss is the recorded one."""
    events = {
        event.name: event.values for event in run.of(Watch) if event.name in ("class_weights", "class_frequencies")
    }
    one, plain, windows = events.get("class_weights"), events.get("class_frequencies"), run.curves.window_losses
    if not one or not plain or not one.get("one_a_row") or windows is None:
        return False
    last = float(np.median(windows.values[-4:]))
    return abs(plain.get("loss", math.nan) - last) < 0.5 * abs(last)


def _of_perplexity(run: Run, loss: Curve) -> bool:
    """Whether a recorded perplexity is exp(loss) in every evaluation: the loss is a mean over tokens, in nats."""
    return any(
        len(found) == len(loss) and np.allclose(found.values, np.exp(np.minimum(loss.values, 50)), rtol=1e-2)
        for found in run.curves.of(Quantity.PERPLEXITY)
    )


def _too_high(run: Run, loss: Curve, accuracy: Curve) -> Finding | None:
    """A loss that rests far above what a model with that many right answers needs."""
    first = _of_first_answers(accuracy)
    if len(loss) < LONG or not first or not 0 < float(np.ptp(loss.values)) < STILL * float(loss.values.max()):
        return None
    right = float(np.median(share(accuracy)[len(accuracy) // 2 :]))
    train = run.curves.epoch_losses
    if not FAIR <= right < 1 or trend(loss.values) > 1 or train is None or not float(train.values.max()) > 0:
        return None
    if float(np.ptp(train.values)) > SCALE * float(train.values.max()):
        return None
    unsure = -right * math.log(right) - (1 - right) * math.log(1 - right)
    honest = unsure + (1 - right) * (float(loss.values.max()) + 0.5)  # ln K is next to the highest loss
    if float(np.median(loss.values)) <= FACTOR * honest or float(np.median(train.values)) <= honest:
        return None
    return _finding("loss_above_accuracy", loss, accuracy, ceiling(honest, "Fano"))


def _of_first_answers(accuracy: Curve) -> bool:
    """Whether only the first answer counts: top-5 and recall@5 are high where the loss is, too."""
    said = words(accuracy.name)
    ranks = [count for word in said if (count := word.removeprefix("top").removeprefix("acc")).isdigit()]
    return ranks == ["1"] if ranks else not OF_ONE_CLASS & set(said)


def _finding(code: str, loss: Curve, accuracy: Curve, bound: Bound | None) -> Finding:
    epoch, step = loss.place(len(loss) - 1)
    right, nats = float(np.median(share(accuracy))), float(np.median(loss.values))
    of_accuracy = code in ("accuracy_below_loss", "accuracy_contradicts_loss")
    phrases = {
        "accuracy_below_loss": "{metric} {measured} in the median beside a {other_metric} of {other}",
        "accuracy_contradicts_loss": "{metric} {measured} in the median beside a {other_metric} of {other}",
        "loss_above_accuracy": "{metric} rests at {measured} while {other_metric} is {other}",
    }
    return Finding(
        code=code,
        metric=accuracy.name if of_accuracy else loss.name,
        measured=right if of_accuracy else nats,
        unit="" if of_accuracy else "nats",
        bounds=(bound,) if bound is not None else (),
        epoch=epoch,
        step=step if loss.by_step else None,
        evidence=(
            Fact("other_metric", loss.name if of_accuracy else accuracy.name),
            Fact("other", nats if of_accuracy else right),
            Fact("evaluations", len(loss)),
        ),
        phrase=phrases.get(code, ""),
    )


def _language(losses: Sequence[float], accuracy: Sequence[float], name: str = "eval_masked_acc") -> Run:
    return run_from({"eval_loss": losses, "eval_ppl": [math.exp(v) for v in losses], name: accuracy})


_case = made.Cases(LossFitsAccuracy())
_LOW = made.lines(10, 0.6, 0.33, 0.31)
_FEW = made.lines(10, 0.2, 0.33)
_TRAINED = {"train_loss": made.lines(8, 1.0, 0.35), "train_acc": made.lines(8, 0.7, 0.91)}
_HIGH = {"train_loss": made.lines(20, 3.9, 3.6, 3.5), "val_loss": made.lines(20, 5.39, 5.32, 5.29)}
PASSES = (
    _case("perfect_oracle", {"val_loss": [1e-9] * 8, "val_acc": [1.0] * 8}),
    _case("language_model", _language(made.lines(10, 3.0, 1.6), made.lines(10, 0.2, 0.5))),
    _case(
        "smoothed",
        {"train_loss": made.lines(20, 2.3, 0.9), "val_loss": made.lines(20, 1.7, 0.77), "val_acc": [0.95] * 20},
    ),
    _case("of_whole_sequences", _language(_LOW, _FEW, "eval_acc")),
    _case(
        "overconfident", {"loss": made.lines(9, 0.11, 0.1), "val_loss": made.lines(9, 1.12, 1.1), "val_acc": [0.84] * 9}
    ),
    _case("margin_loss", {"val_loss": made.lines(9, 0.05, 0.02), "val/top1": [0.4] * 9}),
    _case("hard_validation", {**_TRAINED, "val_loss": made.lines(8, 1.6, 1.36), "val_acc": [0.4] * 8}),
    _case(
        "two_classes_at_the_same_level",
        {
            "train_loss": made.lines(20, 0.69, 0.35, 0.318, 0.317, 0.318),
            "val_loss": made.lines(20, 0.66, 0.36, 0.335),
            "val_acc": made.lines(20, 0.6, 0.91),
        },
    ),
    _case("top_5", {**_HIGH, "val_acc": made.lines(20, 0.05, 0.1), "top5": [0.4] * 20}),
)
_SUSPICIOUS = (
    _case("all_tokens_counted", _language(_LOW, _FEW), "accuracy_below_loss"),
    _case("softmax_twice", {**_HIGH, "recall@1": made.lines(20, 0.51, 0.6)}, "loss_above_accuracy"),
)
_TWICE = {"train_loss": made.lines(20, 2.26, 1.5, 1.478, 1.477, 1.476), "val_acc": made.lines(20, 0.6, 0.95, 0.97)}
FAILS = (
    *(replace(case, status=Status.WARNING) for case in _SUSPICIOUS),
    _case(
        "compared_along_another_axis",
        {**_TRAINED, "val_loss": made.lines(8, 0.6, 0.36), "val_acc": [0.0, 0.1] * 4},
        "accuracy_contradicts_loss",
    ),
    _case("softmax_before_the_loss", _TWICE, "two_softmaxes", classes=10),
)
