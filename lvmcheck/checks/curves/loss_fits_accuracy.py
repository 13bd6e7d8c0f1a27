"""loss_fits_accuracy: a cross-entropy and an accuracy of the same answers do not contradict each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import Bound, ceiling, floor
from lvmcheck.checks.curves._curves import CurveCheck, accuracies, classes, concluded, share
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.protocol import Case
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
FEW, ABLE, MOST_CLASSES, NEXT = 6, 0.85, 50, 0.04
"""Epochs, accuracy of a model that can, classes that are tried, and distance of a loss that rests on its least one."""
FAIR = 0.3
"""Accuracy that nobody has by chance."""
FACTOR, STILL, SCALE = 1.4, 0.05, 0.2
"""Times the largest honest loss, and shares that the validation and the training loss move by."""
OF_TOKENS = frozenset({"token", "tokens", "tok", "masked", "mask", "mlm", "char", "next"})
"""Words of accuracies that count tokens, as a loss with a perplexity does."""
OF_ONE_CLASS = frozenset({"precision", "recall", "sensitivity", "specificity", "balanced", "macro"})
_WORDS = """exact match sequence seq sentence answer task set subset example sample word knn probe linear question
choice zero shot boundary joint"""
OF_OTHERS = frozenset(_WORDS.split())
"""Words of accuracies that count other things than the loss averages over."""


FEWEST, MANY = 3, 1000
"""Classes whose number a first loss tells."""
EVEN, SOME_RIGHT, AGREES, HIGHEST = 0.03, 0.6, 0.02, 10.0
"""Relative distance of a first loss from ln K, accuracy, distance from the loss of sure answers, and highest loss."""


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
    validation loss within 2 % of that and the share of wrong answers, four times in a row.

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

    universal = True

    def judge_ended(self, run: Run) -> Outcome:
        twice = _two_softmaxes(run) or _two_softmaxes_of_errors(run)
        if twice is not None:
            return failed(twice, evaluated=len(run.curves.epoch_losses or ()))
        pairs = list(_pairs(run))
        if not pairs:
            return not_recorded("no validation loss with an accuracy of the same evaluations is recorded")
        long = [pair for pair in pairs if len(pair[0]) >= LEAST]
        if not long:
            return not_applicable(f"fewer than {LEAST} evaluations")
        values = sum(len(loss) for loss, _ in long)
        for loss, accuracy in long:
            finding = _too_few_right(run, loss, accuracy) or _too_high(run, loss, accuracy)
            if finding is not None:
                return warning(finding, evaluated=values)
        loss, accuracy = long[0]
        return concluded(_finding("fits", loss, accuracy, None), [loss, accuracy], evaluated=values)


def _pairs(run: Run) -> Iterator[tuple[Curve, Curve]]:
    """Plain validation losses with accuracies that were evaluated with them."""
    for loss in run.curves.validation:
        if loss.role.quantity is not Quantity.LOSS or loss.role.group or not float(loss.values.min()) > 0:
            continue
        for accuracy in accuracies(run):
            said = set(words(accuracy.name))
            at_once = len(loss) == len(accuracy) and bool((loss.steps == accuracy.steps).all())
            if at_once and bool((loss.epochs == accuracy.epochs).all()) and not OF_OTHERS & said:
                yield loss, accuracy


def _two_softmaxes_of_errors(run: Run) -> Finding | None:
    """A validation loss that is what probabilities in place of logits give to sure answers, right and wrong ones.

    A sure right answer costs ln(1 + (K - 1) / e), a sure wrong one 1 more.
    """
    windows = run.curves.window_losses
    for loss, accuracy in _pairs(run):
        if windows is None or len(loss) < FEW or len(windows) < FEW:
            continue
        right, level = share(accuracy)[-4:], loss.values[-4:]
        count = _classes(run) or round(math.exp(min(float(windows.values[0]), HIGHEST)))
        if (
            not FEWEST <= count <= MANY
            or abs(float(windows.values[0]) / math.log(count) - 1) > EVEN
            or float(right.min()) < SOME_RIGHT
        ):
            continue
        expected = math.log(1 + (count - 1) / math.e) + (1 - right)
        if float(np.abs(level / expected - 1).max()) < AGREES and float(level[-1]) < 0.9 * math.log(count):
            finding = _finding("two_softmaxes", loss, accuracy, None)
            more = (Fact("classes", count), Fact("least", float(expected[-1])))
            return replace(finding, measured=float(level[-1]), evidence=(*finding.evidence, *more))
    return None


def _two_softmaxes(run: Run) -> Finding | None:
    """A training loss that rests on the least that probabilities in place of logits allow, for a number of classes.

    With K classes a cross-entropy of probabilities is at least ln(1 + (K - 1) / e); it begins at ln K as any does.
    """
    train, windows = run.curves.epoch_losses, run.curves.window_losses
    right = [curve for curve in accuracies(run) if len(curve) >= FEW and not OF_OTHERS & set(words(curve.name))]
    good = [curve for curve in right if ABLE <= float(np.median(share(curve)[-3:])) <= 1]
    if train is None or len(train) < FEW or not good:
        return None
    last, first = float(np.median(train.values[-3:])), float((train if windows is None else windows).values[0])
    still = float(np.ptp(train.values[-3:])) < STILL * last
    known = _classes(run)
    for count in [known] if known else range(2, MOST_CLASSES):
        least, guess = math.log(1 + (count - 1) / math.e), math.log(count)
        begins = (0.85 if windows is None else 0.95) * guess <= first <= 1.06 * guess
        if still and begins and 0 <= last - least < NEXT * least and last < 0.9 * first:
            finding = _finding("two_softmaxes", train, good[0], None)
            more = (Fact("classes", count), Fact("least", least))
            return replace(finding, measured=last, evidence=(*finding.evidence, *more))
    return None


def _classes(run: Run) -> int | None:
    """Number of classes, where it is stated or was seen in a watched loss."""
    seen = (event.values.get("classes", 0.0) for event in run.of(Watch) if event.name == "loss_form")
    return classes(run) or next((int(count) for count in seen if count >= 2), None)


def _too_few_right(run: Run, loss: Curve, accuracy: Curve) -> Finding | None:
    """Fewer right answers than a mean cross-entropy of that size guarantees."""
    said = set(words(accuracy.name))
    if OF_ONE_CLASS & said or not OF_TOKENS & said or not _of_perplexity(run, loss):
        return None
    least = 1 - loss.values / math.log(2)
    if float(np.median(least - share(accuracy))) <= SHORT:
        return None
    return _finding("accuracy_below_loss", loss, accuracy, floor(float(np.median(least)), "1 - loss / ln 2"))


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
    of_accuracy = code == "accuracy_below_loss"
    phrases = {
        "accuracy_below_loss": "{metric} {measured} in the median beside a {other_metric} of {other}",
        "two_softmaxes": "{metric} rests at {measured}; a double softmax over about {classes} classes allows no less "
        "than {least}",
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


_CHECK = LossFitsAccuracy()
_LOW = made.lines(10, 0.6, 0.33, 0.31)
_FEW = made.lines(10, 0.2, 0.33)
_HIGH = {"train_loss": made.lines(20, 3.9, 3.6, 3.5), "val_loss": made.lines(20, 5.39, 5.32, 5.29)}
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, run_from({"val_loss": [1e-9] * 8, "val_acc": [1.0] * 8})),
    made.case("language_model", _CHECK, _language(made.lines(10, 3.0, 1.6), made.lines(10, 0.2, 0.5))),
    made.case(
        "smoothed",
        _CHECK,
        run_from(
            {"train_loss": made.lines(20, 2.3, 0.9), "val_loss": made.lines(20, 1.7, 0.77), "val_acc": [0.95] * 20}
        ),
    ),
    made.case("of_whole_sequences", _CHECK, _language(_LOW, _FEW, "eval_acc")),
    made.case(
        "overconfident",
        _CHECK,
        run_from({"loss": made.lines(9, 0.11, 0.1), "val_loss": made.lines(9, 1.12, 1.1), "val_acc": [0.84] * 9}),
    ),
    made.case("margin_loss", _CHECK, run_from({"val_loss": made.lines(9, 0.05, 0.02), "val/top1": [0.4] * 9})),
    made.case("top_5", _CHECK, run_from({**_HIGH, "val_acc": made.lines(20, 0.05, 0.1), "top5": [0.4] * 20})),
)
_SUSPICIOUS = (
    made.case("all_tokens_counted", _CHECK, _language(_LOW, _FEW), "accuracy_below_loss"),
    made.case(
        "softmax_twice", _CHECK, run_from({**_HIGH, "recall@1": made.lines(20, 0.51, 0.6)}), "loss_above_accuracy"
    ),
)
_TWICE = {"train_loss": made.lines(20, 2.26, 1.5, 1.478, 1.477, 1.476), "val_acc": made.lines(20, 0.6, 0.95, 0.97)}
FAILS: Sequence[Case] = (
    *(replace(case, status=Status.WARNING) for case in _SUSPICIOUS),
    made.case("softmax_before_the_loss", _CHECK, run_from(_TWICE), "two_softmaxes", classes=10),
)
