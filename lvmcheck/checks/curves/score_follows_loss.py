"""score_follows_loss: a score does not contradict the loss from the first evaluation to the last."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.curves._curves import CurveCheck, classes, concluded, share
from lvmcheck.checks.curves._term_windows import some_windows
from lvmcheck.checks.curves._trivial import OVERLAP, PARTS
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Direction, Split
from lvmcheck.run.view import Run

LEAST = 4
"""Evaluations that all say the same."""
SOLVED = 0.01
"""Nats, and share of the first loss, at which nearly every answer is right with near certainty."""
HARDLY = 0.01
"""Share of the answers that are right by chance."""
FAR = 0.1
"""Share of its first value above which a validation loss is far from an error of exactly 0."""
BELOW, SURE, MANY = 0.3, 0.2, 50
"""Share of a guess that no evaluation reaches, the training loss beside it, and classes that a first loss tells."""
FALLING = 0.5
"""Share of its middle value that a loss ends below where answers that are rare were learned away, and not just rare."""
RATES = frozenset({"err", "error", "wer", "cer", "eer"})
"""Words of error rates: every answer may be right beside a smoothed loss that is far from 0."""
WHOLE = frozenset({"exact", "em", "seq", "sequence", "sentence", "joint", "all", "full", "pass"})
"""Words of accuracies that ask for several answers at once."""


@dataclass(frozen=True, kw_only=True)
class ScoreFollowsLoss(CurveCheck):
    """No score stays at its worst while the loss is solved, and no error is exactly 0 while the loss is not.

    Fails where, in all of at least four evaluations: a score is at most 0.01 and the loss ends below 0.01 nats and a
    hundredth of its first value; an error is exactly 0 and the validation loss never gets below a tenth of its first
    value; or an accuracy is below three tenths of what guessing gives, for the classes that are stated or that the
    first loss implies, while the training loss falls below 0.2 nats.

    Why:
    Loss and score are computed from one model on one kind of data. Where one says that everything is right and the
    other that nothing is, one of them looks at something else, and it may be the one that picks the checkpoint.

    Usual causes:
    - The decoder is fed the tokens that it has to predict, and generates nothing without them.
    - All targets are one class, as after a label was searched in text from which it had been removed.
    - Labels are numbered from 0 in one set and from 1 in the other.
    - The score compares a prediction with itself, or is averaged before it is compared.

    Fix:
    Print prediction and target of five validation rows, at the place where the score is computed.

    Healthy runs that must pass:
    Exact matches of long answers, which are 0 for long; a score of rare positives that comes late, or whose loss rests
    where always answering "none" does; an error rate of 0 beside a smoothed loss; a fine-tune that begins good.

    Source:
    An independent gallery: teacher forcing without a shift, loss 1e-4 beside an exact match of 0 in every epoch.
    Severity: fails, since loss and score contradict each other in every evaluation.
    """

    def judge_ended(self, run: Run) -> Outcome:
        if run.curves.rewards or run.curves.adversarial:
            return not_applicable("GAN and policy losses need not follow a score")
        scores = list(_scores(run))
        if not scores:
            return not_recorded("no score or error is recorded on validation data")
        long = [curve for curve in scores if len(curve) >= LEAST]
        if not long:
            return not_applicable(f"fewer than {LEAST} evaluations")
        values = sum(map(len, long))
        for curve in long:
            found = _never_right(run, curve) or _perfect(run, curve) or _below_guessing(run, curve)
            if found is not None:
                return failed(found, evaluated=values)
        return concluded(_finding("follows", long[0]), long, evaluated=values)


def _scores(run: Run) -> Iterator[Curve]:
    kinds = (Quantity.ACCURACY, Quantity.SCORE, Quantity.ERROR)
    return (curve for curve in run.curves.of(*kinds) if curve.role.split is not Split.TRAIN)


def _losses(run: Run) -> list[Curve]:
    found = [c for c in run.curves.validation if c.role.quantity is Quantity.LOSS]
    return found or ([run.curves.train] if run.curves.train is not None else [])


def _never_right(run: Run, curve: Curve) -> Finding | None:
    highest = float(np.abs(curve.values).max()) / (100 if curve.role.unit == "%" else 1)
    if curve.role.direction is not Direction.HIGHER or highest > HARDLY:
        return None
    rare = bool((OVERLAP | PARTS) & set(words(curve.name)))
    for loss in _losses(run):
        last, first = float(loss.values[-1]), _first(run, loss)
        if rare and last > FALLING * float(loss.values[len(loss) // 2]):
            continue  # at rest where always answering "none" is, too
        if len(loss) >= LEAST and 0 < last < SOLVED * min(1.0, first):
            return _finding("never_right", curve, Fact("loss", last), Fact("loss_metric", loss.name))
    return None


def _first(run: Run, loss: Curve) -> float:
    """The largest of what is known from before training."""
    windows = run.curves.window_losses
    return max(float(loss.values[0]), float(windows.values[0]) if windows is not None and len(windows) else 0.0)


def _perfect(run: Run, curve: Curve) -> Finding | None:
    if curve.role.quantity is not Quantity.ERROR or curve.values.any() or RATES & set(words(curve.name)):
        return None
    losses = [loss for loss in run.curves.validation if loss is not curve and loss.role.quantity is Quantity.LOSS]
    for loss in losses:
        if len(loss) >= LEAST and float(loss.values.min()) > FAR * _first(run, loss) > 0:
            return _finding("perfect", curve, Fact("loss", float(loss.values[-1])), Fact("loss_metric", loss.name))
    return None


def _below_guessing(run: Run, curve: Curve) -> Finding | None:
    said = set(words(curve.name))
    if curve.role.quantity is not Quantity.ACCURACY or (WHOLE | PARTS) & said:
        return None
    for first, last in _answers(run, curve):
        if first > math.log(2 * MANY):
            continue
        count = classes(run) or round(math.exp(first))
        even = abs(first / math.log(count) - 1) < 0.1 if count > 1 else False
        high = float(share(curve).max())
        if 1 < count <= MANY and even and last < SURE and high < BELOW / count:
            guess = floor(BELOW / count, "three tenths of a guess")
            name = "classes" if classes(run) else "classes_that_the_first_loss_implies"
            phrase = PHRASES["below_guessing"].replace("{classes}", f"{{{name}}}")
            found = _finding("below_guessing", curve, Fact(name, count), Fact("loss", last), bound=guess)
            return replace(found, phrase=phrase)
    return None


def _answers(run: Run, curve: Curve) -> Iterator[tuple[float, float]]:
    """First and last training loss, and those of the term that shares a word with the accuracy."""
    train = run.curves.train
    windows = some_windows(run)
    shared = [name for name in (windows[0].terms if windows else ()) if set(words(name)) & set(words(curve.name))]
    for name in shared:
        held = [window.terms[name].mean for window in windows if name in window.terms]
        if len(held) >= LEAST:
            yield float(held[0]), float(np.median(held[-3:]))
    if train is not None and len(train) >= LEAST:
        start = run.curves.window_losses
        yield float((start or train).values[0]), float(np.median(train.values[-3:]))


PHRASES = {
    "never_right": "best {metric} {measured} in all of {evaluations} evaluations, and {loss_metric} ends at {loss}",
    "perfect": "{metric} is exactly 0 in all of {evaluations} evaluations, and {loss_metric} ends at {loss}",
    "below_guessing": "best {metric} {measured}, where guessing among {classes} classes gives more and the training "
    "loss ends at {loss}",
}


def _finding(code: str, curve: Curve, *facts: Fact, bound: object = None) -> Finding:
    best = curve.values.min() if curve.role.direction is Direction.LOWER else curve.values.max()
    return Finding(
        code=code,
        metric=curve.name,
        measured=float(best),
        bounds=(bound,) if isinstance(bound, type(floor(0.0))) else (),
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(*facts, Fact("evaluations", len(curve))),
        phrase=PHRASES.get(code, ""),
    )


_case = made.Cases(ScoreFollowsLoss())
_FALL = made.lines(8, 1.8, 0.3, 0.05)
PASSES = (
    _case("perfect_oracle", {"val_loss": [0.0] * 6, "val_acc": [1.0] * 6, "val_mae": [0.0] * 6}),
    _case("long_answers", {"val_loss": made.lines(8, 2.4, 0.4, 0.1), "val_exact_acc": [0.0] * 8}),
    _case("late", {"val_loss": made.lines(8, 0.7, 0.02, 0.004), "val_f1": [0.0] * 5 + [0.1] * 3}),
    _case("smoothed_labels_and_no_error", {"val_loss": made.lines(8, 0.9, 0.55, 0.52), "val_error_rate": [0.0] * 8}),
    _case(
        "rare_positives_not_found_yet",
        {"train_loss": made.lines(8, 0.69, 0.0045, 0.0043), "val_loss": [0.0046] * 7 + [0.0045]}
        | {"val_recall": [0.0] * 8},
    ),
    _case("learns", {"train_loss": _FALL, "val_acc": made.lines(8, 0.2, 0.9)}),
)
FAILS = (
    _case(
        "fed_its_answers",
        {"train_loss": made.lines(8, 2.4, 2e-4), "dev_loss": made.lines(8, 2.0, 1e-4), "dev_exact": [0.0] * 8},
        "never_right",
        0.0,
    ),
    _case("mean_before_comparison", {"val_loss": made.lines(8, 0.26, 0.21), "val_mae": [0.0] * 8}, "perfect", 0.0),
    _case(
        "numbered_from_one",
        {"train_loss": _FALL, "val_acc": [0.008, 0.018, 0.01, 0.013, 0.005, 0.012, 0.008, 0.01]},
        "below_guessing",
        0.018,
        classes_that_the_first_loss_implies=6,
    ),
)
