"""What causes on curves look at beside the checks that failed, and how they say what they found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.curves._curves import accuracies, course, improved, share
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction, Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import noise, shape

LEAP = 1.25
"""Times its first value that a loss must reach within the first fifth of the run."""
ROUNDING = 1e-6
"""A loss that is never larger is 0, but for rounding."""
EARLY, FELL = 0.2, 0.3


def found(
    cause: Cause,
    standing: Standing,
    phrase: str,
    evidence: Iterable[Fact],
    *,
    fix: str,
    explain: str,
    explains: Iterable[str],
    also: Sequence[str] = (),
    tell_apart: str = "",
) -> Diagnosis:
    """The diagnosis of a cause; what explains nothing new is said of ``explain`` alone."""
    return Diagnosis(
        name=cause.name(),
        standing=standing,
        phrase=phrase,
        evidence=_once(evidence),
        fix=fix,
        next=f"lvmcheck explain {explain}",
        explains=frozenset({explain, *explains}),
        also=tuple(also),
        tell_apart=tell_apart,
    )


def _once(evidence: Iterable[Fact]) -> tuple[Fact, ...]:
    """Facts without those whose name and place another has already."""
    kept: dict[tuple[str, int | None, int | None], Fact] = {}
    for fact in evidence:
        kept.setdefault((fact.name, fact.epoch, fact.step), fact)
    return tuple(kept.values())


def failed_first(evidence: Evidence, *checks: str) -> Finding | None:
    """The finding of the first of these checks that failed or warned."""
    return next((finding for check in checks if (finding := evidence.failed(check)) is not None), None)


def coded(evidence: Evidence, check: str, *codes: str) -> Finding | None:
    """The finding of a check that failed or warned with one of these codes."""
    finding = evidence.failed(check)
    return finding if finding is not None and finding.code in codes else None


# -- the run -----------------------------------------------------------------------------------------------------------
def rate(run: Run) -> Fact | None:
    """The highest learning rate that was recorded, else the configured one."""
    recorded = run.curves.rate
    if recorded is not None and len(recorded):
        return Fact("highest_learning_rate", float(recorded.values.max()))
    for key in ("lr", "learning_rate"):
        value = run.config.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Fact("configured_learning_rate", float(value))
    return None


def leap(run: Run) -> Fact | None:
    """How far the training loss went above its first value within the first fifth of the run."""
    windows = run.curves.window_losses
    if windows is None or len(windows) < 5 or not windows.values[0] > 0 or run.curves.rewards or run.curves.adversarial:
        return None
    first = max(float(windows.values[0]), float(np.median(windows.values[:3])) / LEAP)
    wild = 3 * min(noise(windows.values), float(np.median(np.abs(windows.values))))
    early = windows.values[1 : max(4, int(EARLY * len(windows)))]
    at = int(early.argmax())
    if at and float(early[:at].min()) < FELL * first:
        return None  # it had learned before
    steady = float(np.median(np.sort(early)[-3:]))  # more than a single step
    epoch, step = windows.place(at + 1)
    return (
        Fact("loss_over_its_first", float(early[at]) / first, "x", epoch, step)
        if steady > LEAP * first + wild
        else None
    )


def gradient_facts(run: Run) -> tuple[Fact, ...]:
    """The gradient norm at first and at last, where it is recorded."""
    norm = run.curves.gradient
    if norm is None or len(norm) < 2:
        return ()
    return (Fact("gradient_norm_first", float(norm.values[0])), Fact("gradient_norm_last", float(norm.values[-1])))


def train_facts(run: Run) -> tuple[Fact, ...]:
    """The training loss at first and at last."""
    train = run.curves.train
    if train is None or not len(train):
        return ()
    first, _, last = course(run, train)
    return (replace(first, name="train_loss_first"), replace(last, name="train_loss_last"))


def training_learns(run: Run, share: float = 0.1) -> bool:
    """Whether the training loss fell by a share of its first value."""
    train = run.curves.train
    if train is None:  # some log an error and no loss
        train = next(run.curves.of(Quantity.ERROR, split=Split.TRAIN), None)
    if train is None or len(train) < 2:
        return False
    if float(np.abs(train.values).max()) < ROUNDING:
        return False
    first = max(shape(train.values).first, float(np.median(train.values[:2])))
    return improved(train) and first - shape(train.values).low > share * abs(first)


FAR = 3.0
"""Times the first training loss that no evaluated loss has where both are measured alike."""


def apart(run: Run) -> Fact | None:
    """How far every validation loss is above the first training loss, where that is far from the first one on."""
    train = run.curves.epoch_losses
    for curve in run.curves.validation if train is not None else ():
        if train is None or not float(train.values[0]) > 0 or len(curve) < 4:
            continue
        least = float(curve.values.min()) / float(train.values[0])
        if least > FAR:
            return Fact("least_validation_over_first_training", least, "x")
    return None


def validation_learned(run: Run) -> bool:
    """Whether some validation loss got clearly below where training began, or a validation score above its first."""
    train = run.curves.epoch_losses
    for curve in run.curves.validation:
        start = max(float(curve.values[0]), float(train.values[0]) if train is not None and len(train) else -np.inf)
        if float(curve.values.min()) < start - 0.1 * abs(start):
            return True
    return any(_gained(curve) for curve in run.curves.scores if curve.role.split is Split.VALIDATION)


def _gained(curve: Curve) -> bool:
    bounded = curve.role.quantity in (Quantity.ACCURACY, Quantity.COSINE, Quantity.R2)
    scale = 100.0 if curve.role.unit == "%" else 1.0
    return bounded and float(np.sort(curve.values)[-3:].min() - curve.values[0]) > 0.1 * scale


MOVES = 0.02
"""Share of its level over which a validation loss goes if the weights move at all."""


def evaluation_moves(run: Run) -> bool:
    """Whether a validation loss says that the weights that are evaluated do move."""
    return any(float(np.ptp(c.values)) > MOVES * abs(float(c.values[-1])) for c in run.curves.validation)


LOST = ("above_start", "back_at_start", "collapsed")


def score_lost(evidence: Evidence) -> Finding | None:
    """A score of evaluation that ends where it began, or worse, while the training loss does not rise."""
    finding, run = coded(evidence, "loss_diverging", *LOST), evidence.run
    role = run.curves.roles.get(str(finding.metric)) if finding is not None else None
    train = run.curves.train
    if (
        role is None
        or train is None
        or len(train) < 2
        or evidence.failed("finite")
        or run.curves.adversarial
        or run.curves.rewards
    ):
        return None
    if role.quantity in (Quantity.LOSS, Quantity.REWARD) or role.split is Split.TRAIN:
        return None
    levels = shape(train.values)
    return None if levels.last > levels.first + 0.02 * abs(levels.first) else finding


def loss_diverged(evidence: Evidence) -> Finding | None:
    """The finding of loss_diverging where a loss diverged, and not a score that wrong answers bring down."""
    finding = evidence.failed("loss_diverging")
    role = evidence.run.curves.roles.get(str(finding.metric)) if finding is not None else None
    return None if role is not None and role.direction is Direction.HIGHER else finding


def validation_falls(run: Run) -> bool:
    """Whether a validation loss fell to a quarter of its first value."""
    falls = (curve for curve in run.curves.validation if len(curve) >= 4 and float(curve.values.min()) > 0)
    return any(float(np.median(curve.values[-3:])) < 0.25 * float(curve.values[0]) for curve in falls)


FAIR = 0.3
"""Accuracy from which a loss that hardly fell is no honest one."""


def accurate(run: Run) -> bool:
    """Whether some accuracy is far from chance."""
    return any(float(share(curve).max()) > FAIR for curve in accuracies(run))
