"""Where a training loss falls, and what is evaluated says that nothing was learned."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lvmcheck.checks.curves._curves import accuracies, beginning, course, improved, lower_is_better, share, vocabulary
from lvmcheck.checks.curves._ranks import ranks_well
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Direction, Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape, trend

ENOUGH, LEAST = 8, 4
"""Evaluations of one metric from which a lack of progress is no chance, and of each of the others."""
SOME = 2.0
"""Standard deviations of all trends together from which metrics that look flat may be slow."""
FLAT, SAYS = 0.06, 0.1
"""Share of its first value that a loss moves, and of the accuracy that it gives to the right answers."""
FAIR = 0.3
"""Accuracy that nobody has by chance, beside a loss of more than one nat."""
MOTIONLESS, MORE = 1e-3, 0.1
"""Share of its first value within which a loss stands still, and accuracy that is more than nothing beside it."""
NO_INFORMATION = 1e-2
"""Nats of a KL term, and that over its whole loss, at which a code holds nothing."""
CODED = frozenset({"elbo", "vae", "rec", "recon", "reconstruction"})
DIVERGENCES = frozenset({"kl", "kld", "kldiv", "divergence"})
ON_ITS_WAY = 0.05
"""R2 that is gained in the last two evaluations of a run that was only short."""
DECIBELS = frozenset({"psnr", "snr", "sdr", "sisdr", "score", "cider"})
"""Words of scores that are no shares, nor percentages."""
UNIFORM, STEPS = 0.9, 200
"""Share of ln V above which a language model has learned nothing, and steps that any needs to get below it."""
HALF = 0.5
"""Share of the reward that training gained, which one evaluation must have shown."""
NONE, RESTS = 0.1, 0.08
"""Accuracy of next to no answer, and share of its first value that a loss of the frequencies of classes falls by."""
CREEP, LITTLE = 15, 3e-3
"""Epochs of two losses that fall along lines, and the share that they fall by."""
POOR = 0.06
"""R2 that nobody needs a net for, beside a training error that does not fall."""
TINY = 3e-6
"""Learning rate at which nothing is trained that moves this little."""

BETTER = 0.05
"""Explained variance from which a model says more than the mean."""


def not_on_evaluations(run: Run) -> Finding | None:
    return _disagree(run) or _without_code(run) or _flat(run) or _no_score(run) or _rests(run)


def explores(run: Run) -> bool:
    """Whether an epsilon says that more than half of the actions are random to the end."""
    known = [curve for name, curve in {**run.curves.by_step, **run.curves.by_epoch}.items() if "epsilon" in words(name)]
    falls = [curve for curve in known if float(curve.values[0] - curve.values[-1]) > 1e-3]
    return bool(run.curves.rewards) and any(0.5 < float(curve.values.min()) <= 1 for curve in falls)


def hardly_trained(run: Run) -> bool:
    """Whether a loss that falls steadily and hardly at all is one of a uniform guess, or of a rate of nothing."""
    rate = run.curves.rate
    return (
        _uniform(run)
        or _creeps(run)
        or _settled(run)
        or (rate is not None and len(rate) >= ENOUGH and 0 < float(rate.values.max()) <= TINY)
    )


def _creeps(run: Run) -> bool:
    """Whether training and validation loss fall along lines, without noise, and by next to nothing."""
    curves = [curve for curve in (run.curves.epoch_losses, *run.curves.validation) if curve is not None]
    losses = [curve for curve in curves if curve.role.quantity is Quantity.LOSS]
    return len(losses) > 1 and all(map(_line, losses))


def _settled(run: Run) -> bool:
    """Whether losses came to rest within 2 % of where they began, beside an accuracy that is poor and stays."""
    scores = [curve for curve in accuracies(run) if len(curve) >= CREEP]
    poor = bool(scores) and all(float(share(curve).max()) < 0.4 and not improved(curve) for curve in scores)
    losses = [c for c in (run.curves.epoch_losses, *run.curves.validation) if c is not None and len(c) >= CREEP]
    return poor and len(losses) > 1 and all(map(_at_rest, losses))


def _at_rest(curve: Curve, most: float = 0.02) -> bool:
    values, late = curve.values, curve.values[2 * len(curve) // 3 :]
    fall = float(values[0] - values[-1])
    return 0 < fall < most * float(values[0]) and float(np.ptp(late)) < 0.25 * fall


def _gains(score: Curve) -> bool:
    values = share(score)
    return float(np.median(values[-3:]) - np.median(values[1:4])) > 0.01


def _rests(run: Run) -> Finding | None:
    """Losses of both sets that rest close to where they began and to each other, beside an accuracy of next to none."""
    scores = [curve for curve in accuracies(run) if len(curve) >= CREEP]
    losses = [c for c in (run.curves.epoch_losses, *run.curves.validation) if c is not None and len(c) >= CREEP]
    if not scores or len(losses) < 2 or any(float(share(c).max()) >= NONE or _gains(c) for c in scores):
        return None
    ends = [float(loss.values[-1]) for loss in losses]
    if not all(_at_rest(loss, RESTS) for loss in losses) or max(ends) > 1.01 * min(ends):
        return None
    return _finding(run, "evaluations_flat", max(scores, key=len), len(scores))


def _line(curve: Curve) -> bool:
    values = curve.values
    fall = float(values[0] - values[-1])
    if len(values) < CREEP or not 0 < fall < LITTLE * float(values[0]):
        return False
    straight = np.linspace(values[0], values[-1], len(values))
    return float(np.abs(values - straight).max()) < 0.1 * fall


def _uniform(run: Run) -> bool:
    size = vocabulary(run)
    if size is None or run.step < STEPS:
        return False
    return any(float(curve.values.min()) > UNIFORM * math.log(size) for curve in run.curves.validation)


# -- no evaluation gets better -----------------------------------------------------------------------------------------
def _flat(run: Run) -> Finding | None:
    """No evaluation with a direction improves, and none is good; a loss counts from where training began."""
    known = [curve for curve in run.curves.evaluations if len(curve) >= LEAST]
    curves = [curve for curve in known if not _never_right(curve)]
    if not curves or max(map(len, curves)) < ENOUGH or any(map(improved, curves)):
        return None
    scores = [curve for curve in curves if curve.role.direction is Direction.HIGHER]
    if any(_good(score) for score in scores) or any(float(np.ptp(curve.values)) == 0 for curve in curves):
        return None
    if not scores and any(_from_the_beginning(run, curve) for curve in curves):
        return None
    if any(_came_with_training(run, curve) for curve in curves):
        return None
    if sum(trend(lower_is_better(curve)) for curve in curves) / math.sqrt(len(curves)) <= -SOME:
        return None
    train = run.curves.train
    if not scores and (train is None or not improved(train)):
        return None  # flat in every curve: what it says of that is more
    return _finding(run, "evaluations_flat", max(scores or curves, key=len), len(curves))


def _came_with_training(run: Run, curve: Curve) -> bool:
    """Whether a reward that is evaluated now and then got a good part of what the reward in training gained."""
    if curve.role.quantity is not Quantity.REWARD:
        return False
    trained = [other for other in run.curves.rewards if other is not curve and improved(other)]
    got = float(curve.values.max() - curve.values[0])
    return any(got > HALF * (shape(other.values).last - shape(other.values).first) > 0 for other in trained)


def _no_score(run: Run) -> Finding | None:
    """No accuracy improves, none is good, and the training loss by step ends where it began, whatever it did between.

    A validation loss may fall all the same, from where the first steps drove it to.
    """
    scores = [c for c in run.curves.of(Quantity.ACCURACY) if len(c) >= ENOUGH]
    losses = run.curves.window_losses
    if not scores or losses is None or len(losses) < ENOUGH or run.curves.rewards:
        return None
    if any(_good(score) or improved(score) for score in scores):
        return None
    if float(np.median(losses.values[-3:])) < (1 - FLAT) * float(losses.values[0]):
        return None
    return _finding(run, "evaluations_flat", max(scores, key=len), len(scores))


def _never_right(curve: Curve) -> bool:
    """Whether a score is 0 throughout: exact matches of long answers say nothing until all of an answer is right."""
    return curve.role.quantity is Quantity.SCORE and not curve.values.any()


def _good(curve: Curve) -> bool:
    if ranks_well(curve, float(np.median(curve.values))):
        return True
    if curve.role.quantity is Quantity.ACCURACY:
        return float(np.median(share(curve))) >= 0.5
    if curve.role.quantity is Quantity.REWARD:
        return float(curve.values[0]) >= 0.9 * float(np.abs(curve.values).max()) and float(curve.values.min()) >= 0
    if curve.role.quantity is Quantity.R2:  # 0 is the mean of the targets
        return float(curve.values.min()) >= BETTER
    share_of = curve.role.quantity is Quantity.SCORE and DECIBELS.isdisjoint(words(curve.name))
    middle = float(np.median(curve.values)) / (100 if share_of and curve.values.max() > 1 else 1)
    return curve.role.quantity in (Quantity.SCORE, Quantity.COSINE) and middle >= 0.5


def _from_the_beginning(run: Run, curve: Curve) -> bool:
    """Whether a loss got better before it was first evaluated."""
    start = beginning(run, curve) if curve.role.quantity is Quantity.LOSS else float(curve.values[0])
    return start - float(np.median(curve.values)) > 0.02 * abs(start)


# -- a loss that does not say what the accuracy does -------------------------------------------------------------------
def _disagree(run: Run) -> Finding | None:
    """A loss that hardly moves and gives the right answers no probability, beside an accuracy far from chance."""
    for loss, accuracy in _pairs(run):
        found, right = shape(loss.values), float(np.median(share(accuracy)[-3:]))
        moved = float(np.ptp(loss.values)) / abs(found.first) if len(loss) >= ENOUGH and found.first else np.inf
        still = (moved < FLAT and right >= FAIR) or (moved < MOTIONLESS and right >= MORE)
        if still and found.last > 1 and math.exp(-found.last) < SAYS * right:
            return _finding(run, "loss_and_accuracy_disagree", loss, 2, Fact("accuracy", right))
    return None


def _pairs(run: Run) -> Iterator[tuple[Curve, Curve]]:
    for split in (Split.TRAIN, Split.VALIDATION):
        for loss in run.curves.of(Quantity.LOSS, split=split):
            for accuracy in accuracies(run, split):
                if words(accuracy.name)[-1] not in ("top5", "top10", "acc5", "acc10", "recall"):
                    yield loss, accuracy


# -- a code without information ----------------------------------------------------------------------------------------
def _without_code(run: Run) -> Finding | None:
    """A variational model whose KL term is 0 from beginning to end: it reconstructs without its code."""
    names = {word for name in (*run.curves.roles, *_terms(run)) for word in words(name)}
    if run.curves.rewards or not CODED & names:
        return None
    losses = run.curves.train
    scale = abs(shape(losses.values).last) if losses is not None else 0.0
    for curve in run.curves.of(Quantity.KL, Quantity.TERM):
        if not DIVERGENCES & set(words(curve.name)) or len(curve) < ENOUGH:
            continue
        last = float(np.median(curve.values[-3:]))
        if 0 <= last < NO_INFORMATION and last < NO_INFORMATION * scale and last <= float(curve.values.max()):
            return _finding(run, "code_without_information", curve, 1)
    return None


def _terms(run: Run) -> set[str]:
    return {name for window in run.windows[:1] for name in window.terms}


# -- a mean that is predicted ------------------------------------------------------------------------------------------
def at_mean(run: Run) -> Curve | None:
    """An R2 or explained variance that ends at 0, or stays next to it beside a loss that does; of a critic it may."""
    if run.curves.rewards:
        return None
    for curve in run.curves.of(Quantity.R2):
        if curve.role.split is Split.TRAIN or len(curve) < LEAST:
            continue
        if float(curve.values[-1] - curve.values[-3]) > ON_ITS_WAY:
            continue
        high, tail = float(curve.values.max()), float(np.median(curve.values[len(curve.values) // 2 :]))
        still = all(loss.values[0] - loss.values.min() < 0.02 * abs(loss.values[0]) for loss in run.curves.validation)
        unfit = (
            high <= POOR and len(curve) >= CREEP and _fits_nothing(run) and trend(curve.values[len(curve) // 2 :]) < 1
        )
        if unfit or high <= 0.02 or (high <= 0.05 and (tail <= 0 or (still and bool(run.curves.validation)))):
            return curve
    return None


def _fits_nothing(run: Run) -> bool:
    """Whether not even the training error falls by 3 %."""
    train = run.curves.epoch_losses or next(run.curves.of(Quantity.ERROR, split=Split.TRAIN), None)
    return train is not None and len(train) >= CREEP and float(train.values.min()) > 0.97 * float(train.values[0]) > 0


_PHRASES = {
    "evaluations_flat": "none of {curves} evaluated metrics improved: {metric} {first} at first, {last} at last",
    "loss_and_accuracy_disagree": "{metric} stays at {measured} beside an accuracy of {accuracy}",
    "code_without_information": "{metric} is {measured} at last: the code holds no information",
}


def _finding(run: Run, code: str, curve: Curve, count: int, *more: Fact) -> Finding:
    found = shape(curve.values)
    return Finding(
        code=code,
        metric=curve.name,
        measured=found.last,
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(*course(run, curve), Fact("noise", found.noise), Fact("curves", count), *more),
        phrase=_PHRASES[code],
    )
