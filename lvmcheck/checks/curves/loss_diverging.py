"""loss_diverging: what was learned is kept, and no loss runs away."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import Bound, ceiling, floor
from lvmcheck.checks.curves._curves import (
    FAR,
    CurveCheck,
    beginning,
    concluded,
    course,
    improved,
    lower_is_better,
    unfinished,
)
from lvmcheck.checks.finding import Finding, Outcome, failed, not_recorded
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import AS_RECORDED
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction, Split
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import Shape, shape

LEAST = 3
"""Values below which a curve has no course."""
PART = 0.25
"""Share of its first value that a loss may rise without having fallen, doubled."""
LEAPT, LEAP, BACK = 20, 10.0, 0.85
"""Windows from which the first steps are seen, times its first value that a loss leaps to, share that it ends above."""
EPOCHS, WORSE = 6, 1.1
"""Epochs of which all after the first are worse, and times the loss of the first that they exceed."""
COLLAPSE = 0.1
"""Cosine that may be lost since the best; the healthy recorded runs never lose more than 0.01 in an epoch."""


@dataclass(frozen=True, kw_only=True)
class LossDiverging(CurveCheck):
    """Losses and scores do not end where they began, or worse, and no loss runs away; a spike may recover.

    Compared are levels (medians of parts of the curve), so that noise and single spikes count for nothing. A run fails
    where at its end: a curve that had improved is back at its first level (gave back 0.9 of its fall); a loss is more
    than half its fall, and an eighth of its first value, above its beginning; a training loss gave back 0.6 of its
    fall, or is ten times its minimum and a tenth of its beginning; a loss that leapt to ten times its first value in
    the first half ends above 0.85 of that; a negative loss falls ever faster.

    Why:
    A run that diverged trains on noise until its end, and its last checkpoint is worse than an early one. A loss whose
    sign is wrong looks like the best run of all: it falls without limit.

    Usual causes:
    - The learning rate is too high, grows, or its warm-up is too short.
    - A scheduled weight or stage takes over, or a batch of broken data broke the weights.
    - Weights or optimizer state were reset, or a checkpoint of another run was loaded.
    - The loss has the wrong sign, or a term without a lower bound.

    Fix:
    Go back to the checkpoint before the lowest loss, divide the learning rate by 3 and clip the gradient norm. Look at
    what changed at the place of the lowest value.

    Healthy runs that must pass:
    A spike that recovers; a mild rise at the end; cosine restarts; a task that becomes harder in stages; adversarial
    losses and losses of a policy whose reward rises; a negative log-likelihood that converges.

    Source:
    checks.md, loss_diverging. Severity: fails, since nothing healthy ends as bad as it began.
    """

    universal = True
    exempt = AS_RECORDED

    def judge(self, run: Run) -> Outcome:
        waiting = unfinished(run)
        if waiting is not None:
            return waiting
        curves = [curve for curve in _judged(run) if len(curve) >= LEAST]
        if not curves:
            return not_recorded(f"no loss or score is recorded {LEAST} times")
        values = sum(map(len, curves))
        for curve in curves:
            finding = _diverged(run, curve)
            if finding is not None:
                return failed(finding, evaluated=values)
        leapt = _never_back(run) or _first_epoch_best(run)
        if leapt is not None:
            return failed(leapt, evaluated=values)
        kept = _finding(run, "kept", curves[0], shape(lower_is_better(curves[0])), None)
        return concluded(kept, curves, evaluated=values)


def _judged(run: Run) -> Iterator[Curve]:
    curves = run.curves
    if curves.train is not None and not curves.adversarial and not curves.rewards:
        yield curves.train
    if not curves.adversarial:
        yield from curves.validation
    yield from (curve for curve in curves.scores if curve.role.split is not Split.TRAIN)


def _diverged(run: Run, curve: Curve) -> Finding | None:
    values = lower_is_better(curve)
    found = shape(values)
    code, limit = _limit(run, curve, found)
    # Few points have no noise that could be told from their course: the smallest step stands for it.
    slack = FAR * found.error if len(curve) >= 8 else float(np.abs(np.diff(values)).min())
    if found.last > limit + slack and found.low_at < len(curve) - 1:
        return _finding(run, code, curve, found, limit)
    if curve.role.quantity is Quantity.COSINE and found.last > max(found.first, found.low + COLLAPSE):
        return _finding(run, "collapsed", curve, found, max(found.first, found.low + COLLAPSE))
    if curve.role.direction is Direction.LOWER and _runs_away(values, found):
        return _finding(run, "runs_away", curve, found, None)
    return None


def _limit(run: Run, curve: Curve, found: Shape) -> tuple[str, float]:
    """What the end may not exceed, with the code of what happened if it does: the strictest that applies."""
    part = PART if len(curve) >= 8 else 2 * PART
    start = found.first
    if curve.role.split is Split.VALIDATION and curve.role.direction is Direction.LOWER:
        start = max(start, beginning(run, curve))
    limits = [("above_start", start + 0.5 * max(found.fall, part * abs(start)))]
    learned = found.fall > 2 * FAR * found.error and found.fall > 0.02 * abs(found.first)
    if learned and (len(curve) >= 8 or found.fall > 0.1 * abs(found.first)):
        limits.append(("back_at_start", start - 0.1 * (start - found.low)))
        if curve.by_step and curve.role.split is Split.TRAIN and not run.of(ev.Stage):
            limits.append(("gave_back", found.low + 0.6 * found.fall))
            if found.low > 0 and len(curve) >= 20:
                limits.append(("far_above_minimum", 10 * max(found.low, 0.01 * found.first)))
    return min(limits, key=lambda limit: limit[1])


def _never_back(run: Run) -> Finding | None:
    """A loss that leapt in the first steps and ends no better than it began, or than a little below that."""
    windows, curves = run.curves.window_losses, run.curves
    if windows is None or len(windows) < LEAPT or curves.rewards or curves.adversarial or run.of(ev.Stage):
        return None
    values = windows.values
    first, last = float(values[0]), float(np.median(values[-3:]))
    early = values[1 : max(4, len(values) // 2)]
    leapt = first > 0 and float(np.median(np.sort(early)[-3:])) > LEAP * first
    above = float(np.quantile(early, 0.1)) > BACK * first and last > BACK * first
    if not leapt or not above or any(map(_gained, curves.scores)):
        return None
    return _finding(
        run, "never_back_after_a_leap", windows, replace(shape(values), first=first, last=last), BACK * first
    )


def _first_epoch_best(run: Run) -> Finding | None:
    """A validation loss that no later epoch brings to that of the first, beside a training loss that rises as well."""
    train = run.curves.epoch_losses
    if train is None or len(train) < EPOCHS or run.of(ev.Stage) or run.curves.adversarial or run.curves.rewards:
        return None
    for curve in run.curves.validation:
        later, half = curve.values[1:], slice(len(curve) // 2, None)
        if len(curve) < EPOCHS or not curve.values[0] > 0 or later.min() <= WORSE * curve.values[0]:
            continue
        if float(np.median(train.values[len(train) // 2 :])) > float(train.values[0]) > 0:
            first = float(curve.values[0])
            found = replace(shape(curve.values), first=first, last=float(np.median(curve.values[half])))
            return _finding(run, "worse_than_the_first_epoch", curve, found, WORSE * first)
    return None


def _gained(score: Curve) -> bool:
    """Whether a score says that the model learned all the same."""
    bounded = score.role.quantity in (Quantity.ACCURACY, Quantity.COSINE, Quantity.R2)
    return bounded and improved(score) and float(score.values[-1]) > 0.5 * min(score.role.high, 100.0)


def _runs_away(values: np.ndarray, found: Shape) -> bool:
    """Whether a loss falls below zero ever faster."""
    if found.count < 6 or not found.last < -10 * max(1.0, abs(found.first)):
        return False
    middle = float(np.median(values[len(values) // 2 - 1 : len(values) // 2 + 2]))
    return middle - found.last > 1.2 * max(found.first - middle, 0.0)


_VALUES = "{metric} {first} at first, {best} at best, {last} at last"
_LEVEL = _VALUES + ", a median of {measured} at its end"


def _finding(run: Run, code: str, curve: Curve, found: Shape, limit: float | None) -> Finding:
    said = course(run, curve)
    turned = -1.0 if curve.role.direction is Direction.HIGHER else 1.0
    epoch, step = curve.place(len(curve) - 1)
    bounds: tuple[Bound, ...] = ()
    if limit is not None:
        bounds = (ceiling(limit, "from its course") if turned > 0 else floor(-limit, "from its course"),)
    return Finding(
        code=code,
        metric=curve.name,
        measured=turned * found.last,
        bounds=bounds,
        epoch=epoch,
        step=step if curve.by_step else None,
        evidence=said,
        phrase=_VALUES if said[-1].value == turned * found.last else _LEVEL,
    )


_CHECK = LossDiverging()
_NOISE = [0.05 * math.sin(7.3 * i * i) for i in range(60)]
_FALL = [a + b for a, b in zip(made.lines(60, 3.0, 1.0, 0.6, 0.5, 0.45), _NOISE, strict=True)]
_SPIKE = [*_FALL[:30], 3.5, 2.4, 1.5, *_FALL[33:]]
_UP = [*_FALL[:40], *made.lines(20, 0.5, 4.0)]

PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, made.window_run([0.0] * 20)),
    made.case("amn_584k", _CHECK, made.val_run(made.AMN_584K_VAL, train_cosine=made.AMN_584K_TRAIN)),
    made.case("spike_that_recovers", _CHECK, made.window_run(_SPIKE)),
    made.case("cognate_epoch_means", _CHECK, run_from({"train_loss": made.COGNATE_TRAIN_LOSS})),
    made.case("leap_that_is_made_good", _CHECK, made.window_run([2.0, 40.0, 30.0, 25.0, *_FALL])),
    made.case(
        "fine_tune_of_noisy_tiny_losses",
        _CHECK,
        made.window_run([2e-4 * (1 + 60 * (i % 7 == 3)) * (0.3 if i % 3 else 1.0) for i in range(50)] + [2e-4] * 4),
    ),
    made.case("near_zero", _CHECK, made.window_run([1.0] * 5 + [1e-7, 5e-7, 2e-7, 9e-7, 1e-6] * 7)),
    made.case("density", _CHECK, run_from({"loss": made.lines(20, 1.4, -2.0, -3.0, -3.2)})),
    made.case(
        "policy",
        _CHECK,
        run_from({"loss": made.lines(20, 0.01, 0.4), "reward": made.lines(20, 10.0, 180.0)}),
    ),
)
FAILS: Sequence[Case] = (
    made.case("climbs_at_the_end", _CHECK, made.window_run(_UP), "gave_back"),
    made.case("gave_back", _CHECK, made.window_run([*_FALL[:40], *[2.4] * 20]), "gave_back"),
    made.case("from_the_first_step", _CHECK, made.window_run(made.lines(20, 1.0, 5.0)), "above_start"),
    made.case(
        "leap_at_the_first_steps",
        _CHECK,
        made.window_run([4.47, 70.0, 2e4, 4e5, 7e6, *made.lines(40, 1e6, 300.0, 6.0, 4.7)]),
    ),
    made.case(
        "made_again_in_every_epoch",
        _CHECK,
        run_from({"loss": [0.54, 0.62, 0.63, 0.59, 0.57, 0.61], "val_loss": [0.25, 0.33, 0.37, 0.30, 0.32, 0.34]}),
        "worse_than_the_first_epoch",
    ),
    made.case("sign", _CHECK, run_from({"loss": [2.3, -4.0, -40.0, -160.0, -600.0, -2400.0]}), "runs_away"),
    made.case("p4", _CHECK, made.val_run(made.P4_VAL), "collapsed", measured=0.338),
    made.case("v3", _CHECK, made.val_run(made.V3_VAL), "collapsed"),
    made.case("p6b", _CHECK, made.val_run(made.P6B_VAL), "above_start"),
    made.case("validation_alone", _CHECK, run_from({"loss": [2.0, 1.0, 0.8], "val_loss": [2.1, 9.0, 40.0]})),
)
