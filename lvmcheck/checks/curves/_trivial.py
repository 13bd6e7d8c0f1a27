"""Predictors that learn nothing, and where a run ends no better than one of them."""

from __future__ import annotations

import math

import numpy as np

from lvmcheck.checks.curves._curves import SURE, accuracies, classes, improved, number, share, vocabulary
from lvmcheck.checks.curves._evaluations import at_mean
from lvmcheck.checks.curves._ranks import ranks_well
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape, trend

SIGNS, UNIGRAM = 300, 0.84
"""Vocabulary of single signs, and the share of its logarithm that their frequencies alone leave of the loss."""
LETTERS, SINGLE = 40, 0.66
"""The same of an alphabet, where a loss that soon gains nothing any more has learned no more than frequencies."""
DENOISES = frozenset({"timesteps", "num_timesteps", "num_train_timesteps", "diffusion_steps", "noise_steps"})
DENOISED = 0.6
"""First loss of a model of noise that was trained before: an untrained one is at the variance of the noise, 1."""
KINDS, EXACT = 20, 2e-3
"""Classes up to which ln K is no chance, and the relative distance from it that losses at rest there keep."""
PAIRS, STEPS, RESTS = 8, 100, 6e-3
"""Rows that are compared, steps that any training of pairs moves in, and share of their logarithm that it moves."""
NEAR = 0.03
"""Relative distance from ln K within which a loss is that of a uniform guess."""
ROSE = 0.15
"""Accuracy gained from which a run is not at chance, whatever number of classes its loss implies."""
BELOW = 0.985
"""Share of ln K below which a loss that falls is on its way."""
LEAST = 4
"""Values below which a curve has no trend."""
LONG = 15
"""Values next to 1 from which a loss is taken to be that of the mean target."""
OVERLAP = frozenset({"f1", "iou", "miou", "dice", "auc", "auroc", "map", "ap", "hit", "hits", "ndcg", "mrr"})
"""Scores that a model which finds anything cannot keep at exactly 0, where exact matches and BLEU may be 0 for long."""
PARTS = frozenset({"recall", "sensitivity", "specificity", "precision"})
"""Words of accuracies on a part of the answers."""
COIN = 2e-3
"""Relative distance from ln 2 that a loss at rest there keeps."""
LITTLE = 0.015
"""Share of its first value that a loss must fall not to be suspicious."""


def at_trivial(run: Run) -> Finding | None:
    known = _at_chance(run) or _at_mean(run) or _at_majority(run) or _at_entropy(run) or _at_variance(run)
    return known or _at_coin(run) or _at_one(run) or _at_batch(run) or _at_even(run)


def _tail(values: np.ndarray) -> np.ndarray:
    return values[-max(2, len(values) // 3) :]


def _at_chance(run: Run) -> Finding | None:
    """Accuracy at 1/K and loss at ln K at the end, for the K that is stated or that the loss implies."""
    losses = run.curves.validation or ((run.curves.epoch_losses,) if run.curves.epoch_losses else ())
    for curve in (*accuracies(run, Split.VALIDATION), *accuracies(run, Split.NONE)):
        for loss in losses:
            if len(curve) < LEAST or len(loss) < LEAST:
                continue
            level, tail = float(np.median(_tail(loss.values))), _tail(share(curve))
            if not 0 < level < 20:
                continue
            count = classes(run) or round(math.exp(level))
            if count < 2 or level < (1 - NEAR) * math.log(count) or float(np.median(share(curve))) > 2 / count:
                continue
            if _falls(loss) and level < BELOW * math.log(count):
                continue
            accuracy = float(np.median(tail))
            spread = min(3 * float(np.std(tail)) + 0.15 / count + 0.01, 0.3 / count + 0.005)
            inferred = classes(run) is None
            if inferred and accuracy - float(share(curve)[0]) > ROSE:
                continue
            if inferred and _learns_a_little(run, share(curve), count):
                continue
            close = abs(level / math.log(count) - 1) < NEAR
            if accuracy - 1 / count < spread and (close or not inferred) and (not inferred or accuracy > 0.5 / count):
                number = Fact("classes_that_the_loss_implies" if inferred else "classes", count)
                phrase = IMPLIED if inferred else KNOWN
                return _trivial("at_chance", curve, accuracy, 1 / count, Fact("loss", level), number, phrase=phrase)
    return None


def _learns_a_little(run: Run, accuracy: np.ndarray, count: int) -> bool:
    """Whether training falls clearly below ln K while the accuracy, which varies, stays above 1/K: labels are noisy."""
    train = run.curves.train
    if train is None or len(accuracy) < LEAST or float(np.ptp(accuracy)) == 0:
        return False
    above = float(np.mean(accuracy)) - 1 / count
    error = float(np.std(accuracy)) / math.sqrt(len(accuracy))
    end = float(np.median(_tail(train.values)))
    return above > max(4 * error, 0.02) and float(_tail(accuracy).min()) > 1 / count and end < 0.95 * math.log(count)


def _falls(loss: Curve) -> bool:
    """Whether a loss ends clearly below its first value, or falls steadily."""
    found = shape(loss.values)
    clearly = found.first - found.last > max(0.02 * abs(found.first), 3 * found.error)
    return clearly or (
        trend(loss.values) < -SURE and len(loss) < 60 and found.first - found.last > 0.005 * abs(found.first)
    )


def _at_mean(run: Run) -> Finding | None:
    curve = at_mean(run)
    return None if curve is None else _trivial("at_mean_target", curve, float(curve.values[-1]), 0.0)


def _at_majority(run: Run) -> Finding | None:
    known = number(run, "majority_share", "majority", "baseline.majority_share", "chance")
    if known is None:
        return None
    for curve in (*accuracies(run, Split.VALIDATION), *accuracies(run, Split.NONE)):
        tail = _tail(share(curve))
        better = [other for other in run.curves.scores if other.role.quantity is Quantity.SCORE and improved(other)]
        if len(curve) >= 2 and float(tail.max()) <= known + 0.005 and not better:
            return _trivial("at_majority", curve, float(np.median(tail)), known)
    return None


def _at_entropy(run: Run) -> Finding | None:
    known = number(run, "unigram_entropy", "baseline.unigram_entropy")
    curves = run.curves.validation or ((run.curves.train,) if run.curves.train else ())
    if known is None:
        return None
    for curve in curves:
        level = shape(curve.values).last
        if len(curve) >= 2 and level >= 0.99 * known:
            more = (Fact("vocabulary", vocabulary(run)),) if vocabulary(run) else ()
            return _trivial("at_unigram_entropy", curve, level, known, *more)
    return None


def _at_coin(run: Run) -> Finding | None:
    """A binary cross-entropy that comes to rest at ln 2, in training and in validation: every answer is a coin's.

    Adversaries rest there by design.
    """
    windows = run.curves.window_losses
    train = windows if windows is not None and len(windows) >= 5 * LEAST else run.curves.epoch_losses
    least = 2 * LEAST if train is not windows else LEAST
    curves = [train] if train is not None and len(train) >= 2 * LEAST else []
    curves += [c for c in run.curves.validation if len(c) >= least]
    if run.curves.adversarial or len(curves) < 2 or any(map(_right, accuracies(run))):
        return None
    # The first windows of a run are single steps: its last fifth is most of it.
    ends = [curve.values[-max(3, len(curve) // (5 if curve is windows else 2)) :] for curve in curves]
    if any(float(np.abs(tail / math.log(2) - 1).max()) > COIN for tail in ends):
        return None
    above = Fact("first", float(curves[0].values[0]))
    return _trivial("at_ln_2", curves[-1], float(ends[-1][-1]), math.log(2), above, phrase=COIN_PHRASE)


def _right(accuracy: Curve) -> bool:
    """Whether an accuracy is far from a coin's, and not that of the commonest class in every evaluation."""
    return float(share(accuracy)[-1]) > 2 / 3 and float(np.ptp(accuracy.values)) > 0


def _at_even(run: Run) -> Finding | None:
    """Losses of training and validation that come to rest at ln K, and had begun far above it: an even guess."""
    curves = [c for c in (run.curves.epoch_losses, *run.curves.validation) if c is not None and len(c) >= 2 * LEAST]
    if (
        len(curves) < 2
        or run.curves.adversarial
        or run.curves.rewards
        or any(map(_right, accuracies(run, Split.TRAIN)))
        or any(map(improved, accuracies(run)))
    ):
        return None
    ends = np.concatenate([curve.values[-3:] for curve in curves])
    count = round(math.exp(float(np.median(ends)))) if 0 < float(np.median(ends)) < 4 else 0
    if not 3 <= count <= KINDS or float(curves[0].values[0]) < 1.2 * math.log(count):
        return None
    if float(np.abs(ends / math.log(count) - 1).max()) > EXACT:
        return None
    more = Fact("classes_that_the_loss_implies", count)
    return _trivial("at_ln_k", curves[-1], float(ends[-1]), math.log(count), more, phrase=EVEN_PHRASE)


def _at_batch(run: Run) -> Finding | None:
    """A loss of pairs that stays at the logarithm of their number: every other row is as near as the partner."""
    size, windows = number(run, "batch_size"), run.curves.window_losses
    if size is None or size < PAIRS or windows is None or len(windows) < LONG or run.step < STEPS:
        return None
    first, last = float(windows.values[0]), float(np.median(windows.values[-3:]))
    for count in (size, size - 1, 2 * size, 2 * size - 1, 2 * size - 2):
        even = math.log(count)
        if abs(first / even - 1) < COIN and 0 < even - last < RESTS * even and classes(run) is None:
            return _trivial(
                "at_ln_of_pairs", windows, last, even, Fact("rows_compared", int(count)), phrase=PAIRS_PHRASE
            )
    return None


def _at_one(run: Run) -> Finding | None:
    """Losses that stay next to 1 from beginning to end: the squared error of the mean, of targets scaled to 1."""
    curves = [c for c in (run.curves.epoch_losses, *run.curves.validation) if c is not None and len(c) >= LONG]
    if len(curves) < 2 or run.curves.adversarial or run.curves.rewards or run.curves.scores:
        return None
    near = all(float(np.abs(curve.values - 1).max()) <= NEAR for curve in curves)
    still = all(float(curve.values[0] - curve.values.min()) < NEAR for curve in curves)
    if not near or not still:
        return None
    return _trivial("at_one", curves[-1], float(curves[-1].values[-1]), 1.0, phrase=ONE_PHRASE)


def near_uniform(run: Run) -> Finding | None:
    """A model of few signs whose loss stands still where the frequencies of single signs are."""
    size = vocabulary(run)
    for curve in run.curves.validation if size is not None and size <= SIGNS else ():
        half = curve.values[len(curve) // 2 :]
        low, limit = float(curve.values.min()), UNIGRAM * math.log(size or 2)
        rest = curve.values[3 * len(curve) // 10 :]
        single = (size or 0) >= LETTERS and low > SINGLE * math.log(size or 2) and len(curve) >= 2 * LEAST
        rests = single and float(rest[0] - rest.min()) < LITTLE * abs(low) and float(rest[-1]) >= float(rest[0])
        if rests or (len(curve) >= 4 and low > limit and float(half[0] - half.min()) < LITTLE * abs(low)):
            return _trivial("near_uniform", curve, float(curve.values[-1]), math.log(size or 2))
    return None


def _at_variance(run: Run) -> Finding | None:
    known = number(run, "target_variance", "baseline.target_variance")
    if known is None:
        return None
    for curve in run.curves.validation:
        level = shape(curve.values).last
        if len(curve) >= 2 and 0.98 * known <= level <= 1.5 * known:
            return _trivial("at_target_variance", curve, level, known)
    return None


KNOWN = "{metric} ends at {measured}, a predictor that learns nothing has {trivial_predictor}"
# Nobody stated the task: what is said is what the figures are next to.
IMPLIED = "{metric} ends at {measured}; the loss {loss} is that of an even guess among {classes_that_the_loss_implies}"
COIN_PHRASE = "{metric} comes to rest at {measured}, the cross-entropy of an even guess between two"
EVEN_PHRASE = (
    "{metric} comes to rest at {measured}, the cross-entropy of an even guess among {classes_that_the_loss_implies}"
)
PAIRS_PHRASE = "{metric} stays at {measured}, that of an even guess among {rows_compared}, as many as a batch compares"
ONE_PHRASE = (
    "{metric} stays next to 1 ({measured} at last), the squared error of the mean where targets have variance 1"
)


def _trivial(code: str, curve: Curve, value: float, trivial: float, *more: Fact, phrase: str = KNOWN) -> Finding:
    return Finding(
        code=code,
        metric=curve.name,
        measured=value,
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(Fact("trivial_predictor", trivial), *more),
        phrase=phrase,
    )


def good_already(run: Run, curve: Curve) -> bool:
    """Whether a flat curve is flat because it is good already."""
    last = float(np.median(curve.values[-3:]))
    quantity = curve.role.quantity
    if quantity is Quantity.LOSS and DENOISES & set(run.config) and 0 < float(curve.values[0]) < DENOISED:
        return True
    if ranks_well(curve, last):
        return True
    if quantity is Quantity.ACCURACY:
        if PARTS & set(words(curve.name)):
            return False  # high for a model that answers one class
        level, known = float(np.median(share(curve)[-3:])), classes(run)
        return level >= max(0.7, 2 / known if known else 0.0)
    if quantity in (Quantity.COSINE, Quantity.R2):
        return last >= 0.7
    if {"successrate", "winrate"} & set(words(curve.name)):
        return last in (1, 100)
    if {"map", "map50", "map50-95"} & set(words(curve.name)):  # of a detector that was trained before
        return last >= 0.5
    return quantity is Quantity.LOSS and bool((curve.values == 0).all())
