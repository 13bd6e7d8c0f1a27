"""Losses of two softmaxes in a row, read from a loss and the accuracy of the same answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lvmcheck.checks.curves._curves import accuracies, classes, share
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.run.curves import Curve
from lvmcheck.run.events import Watch
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.view import Run

FEW, ABLE, MOST_CLASSES, NEXT = 6, 0.85, 50, 0.04
"""Epochs, accuracy of a model that can, classes that are tried, and distance of a loss that rests on its least one."""
FEWEST, MANY = 3, 1000
"""Classes whose number a first loss tells."""
EVEN, SOME_RIGHT, AGREES, HIGHEST = 0.03, 0.6, 0.02, 10.0
"""Relative distance of a first loss from ln K, accuracy, distance from the loss of sure answers, and highest loss."""
STILL, COSTS = 0.05, 0.6
"""Share that a loss at rest moves by, and what a wrong answer costs more than a right one, at least."""
_WORDS = """exact match sequence seq sentence answer task set subset example sample word knn probe linear question
choice zero shot boundary joint"""
OF_OTHERS = frozenset(_WORDS.split())
"""Words of accuracies that count other things than the loss averages over."""


def two_softmaxes(run: Run) -> Finding | None:
    """What gives two softmaxes away: where training rests, or what right and wrong answers cost in validation."""
    return _at_rest(run) or _of_errors(run)


def pairs(run: Run) -> Iterator[tuple[Curve, Curve]]:
    """Plain validation losses with accuracies that were evaluated with them."""
    for loss in run.curves.validation:
        if loss.role.quantity is not Quantity.LOSS or loss.role.group or not float(loss.values.min()) > 0:
            continue
        for accuracy in accuracies(run):
            said = set(words(accuracy.name))
            at_once = len(loss) == len(accuracy) and bool((loss.steps == accuracy.steps).all())
            if at_once and bool((loss.epochs == accuracy.epochs).all()) and not OF_OTHERS & said:
                yield loss, accuracy


def _of_errors(run: Run) -> Finding | None:
    """A validation loss that is what probabilities in place of logits give to sure answers, right and wrong ones.

    A sure right answer costs ln(1 + (K - 1) / e), a sure wrong one 1 more.
    """
    windows = run.curves.window_losses
    for loss, accuracy in pairs(run):
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
            finding = _twice(loss, accuracy)
            more = (Fact("classes", count), Fact("least", float(expected[-1])))
            return replace(finding, measured=float(level[-1]), evidence=(*finding.evidence, *more))
    return None


def _at_rest(run: Run) -> Finding | None:
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
        rests = still and begins and 0 <= last - least < NEXT * least and last < 0.9 * first
        if rests and _wrong_answers_cost(run, least):
            finding = _twice(train, good[0])
            more = (Fact("classes", count), Fact("least", least))
            return replace(finding, measured=last, evidence=(*finding.evidence, *more))
    return None


def _wrong_answers_cost(run: Run, least: float) -> bool:
    """Whether validation losses are as far above the least as their wrong answers have them be: a sure one costs 1."""
    late = ((loss.values[-3:], share(accuracy)[-3:]) for loss, accuracy in pairs(run))
    return all(float(np.median(loss)) >= least + COSTS * (1 - float(np.median(right))) for loss, right in late)


def _classes(run: Run) -> int | None:
    """Number of classes, where it is stated or was seen in a watched loss."""
    seen = (event.values.get("classes", 0.0) for event in run.of(Watch) if event.name == "loss_form")
    return classes(run) or next((int(count) for count in seen if count >= 2), None)


def _twice(loss: Curve, accuracy: Curve) -> Finding:
    epoch, step = loss.place(len(loss) - 1)
    right = float(np.median(share(accuracy)))
    return Finding(
        code="two_softmaxes",
        metric=loss.name,
        unit="nats",
        epoch=epoch,
        step=step if loss.by_step else None,
        evidence=(Fact("other_metric", accuracy.name), Fact("other", right), Fact("evaluations", len(loss))),
        phrase="{metric} rests at {measured}; a double softmax over about {classes} classes allows no less than "
        "{least}",
    )
