"""loss_diverging: what was learned is kept, and no loss runs away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import Bound, ceiling, floor
from lvmcheck.checks.curves._blow_ups import BlowUp, blown_up, of_players, players, runs_away
from lvmcheck.checks.curves._curves import (
    FAR,
    CurveCheck,
    accuracies,
    beginning,
    concluded,
    course,
    found_at,
    good_throughout,
    lower_is_better,
)
from lvmcheck.checks.finding import Finding, Outcome, Status, failed, not_recorded, warning
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
SURE_OF_ITSELF = 2.0
"""The same share of a validation loss beside an accuracy that stays good: the model grows sure of its errors."""
ROWS = 1.5
"""Rows of a validation set by which an accuracy must be below its limit."""
COLLAPSE = 0.1
"""Cosine that may be lost since the best; the healthy recorded runs never lose more than 0.01 in an epoch."""


@dataclass(frozen=True, kw_only=True)
class LossDiverging(CurveCheck):
    """Losses and scores do not end where they began, or worse, and no loss runs away; a spike may recover.

    Compared are levels (medians of parts of the curve), so that noise and single spikes count for nothing. A run fails
    where at its end: a curve that had improved is back at its first level (gave back 0.9 of its fall); a loss is more
    than half its fall, and an eighth of its first value, above its beginning; a training loss gave back 0.6 of its
    fall, or is ten times its minimum and a tenth of its beginning; a loss that leapt to ten times its first value in
    the first half ends above 0.85 of that (1.5 of it after a leap to a hundred times, whatever a score says); a first
    epoch is a hundred times the lowest and the loss then rises for two thirds of the run; a negative loss falls ever
    faster; a training loss rises in each of the last five epochs, to four times its lowest; the losses of both players
    of an adversarial run grow tenfold and go on growing.

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
    Severity: fails, since nothing healthy ends as bad as it began.
    """

    exempt = AS_RECORDED

    def judge_ended(self, run: Run) -> Outcome:
        curves = [curve for curve in _judged(run) if len(curve) >= LEAST]
        values = sum(map(len, curves))
        grown = players(run)
        if grown is not None:
            return failed(_blown(run, grown), evaluated=values + len(grown[1]))
        if not curves:
            return not_recorded(f"no loss or score is recorded {LEAST} times")
        for curve in curves:
            finding = _diverged(run, curve)
            if finding is not None:
                may = curve.role.split is Split.TRAIN and finding.code != "runs_away"
                harder = may and _validates_best_at_its_end(run, float(curve.values[0]))
                return (warning if harder else failed)(finding, evaluated=values)
        leapt = blown_up(run)
        if leapt is not None:
            return failed(_blown(run, leapt), evaluated=values)
        kept = _finding(run, "kept", curves[0], shape(lower_is_better(curves[0])), None)
        return concluded(kept, [*curves, *of_players(run)], evaluated=values)


def _blown(run: Run, found: BlowUp) -> Finding:
    code, curve, levels, limit = found
    return _finding(run, code, curve, levels, limit)


def _validates_best_at_its_end(run: Run, start: float) -> bool:
    """Whether every validation loss gained and ends next to its best, below where training began: data got harder."""
    shapes = [shape(curve.values) for curve in run.curves.validation if len(curve) >= LEAST]
    gained = all(
        found.fall > 0.1 * abs(found.first) and found.rise < 0.05 * found.fall and found.last < 10 * start
        for found in shapes
    )
    return bool(shapes) and gained


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
    # The noise of few points cannot be separated from their trend: the smallest step stands for it.
    slack = FAR * found.error if len(curve) >= 8 else float(np.abs(np.diff(values)).min())
    if curve.role.quantity is Quantity.ACCURACY:
        slack = max(slack, ROWS * _one_row(values))
    if found.last > limit + slack and found.low_at < len(curve) - 1:
        return _finding(run, code, curve, found, limit)
    if curve.role.quantity is Quantity.COSINE and found.last > max(found.first, found.low + COLLAPSE):
        return _finding(run, "collapsed", curve, found, max(found.first, found.low + COLLAPSE))
    if curve.role.direction is Direction.LOWER and runs_away(values, curve.steps, found):
        return _finding(run, "runs_away", curve, found, None)
    return None


def _one_row(values: np.ndarray) -> float:
    """The smallest difference between two values of an accuracy: that of one row, or a multiple of it."""
    steps = np.diff(np.unique(values.round(9)))
    return float(steps.min()) if len(steps) else 0.0


def _limit(run: Run, curve: Curve, found: Shape) -> tuple[str, float]:
    """What the end may not exceed, with the code of what happened if it does: the strictest that applies."""
    part = PART if len(curve) >= 8 else 2 * PART
    start = found.first
    if curve.role.split is Split.VALIDATION and curve.role.direction is Direction.LOWER:
        start = max(start, beginning(run, curve))
    if curve.role.split is Split.VALIDATION and curve.role.quantity is Quantity.LOSS:
        sure = any(map(good_throughout, accuracies(run, Split.VALIDATION)))
        part = SURE_OF_ITSELF if sure else part
    limits = [("above_start", start + 0.5 * max(found.fall, part * abs(start)))]
    learned = found.fall > 2 * FAR * found.error and found.fall > 0.02 * abs(found.first)
    if learned and (len(curve) >= 8 or found.fall > 0.1 * abs(found.first)):
        limits.append(("back_at_start", start - 0.1 * (start - found.low)))
        if curve.by_step and curve.role.split is Split.TRAIN and not run.of(ev.Stage):
            limits.append(("gave_back", found.low + 0.6 * found.fall))
            if found.low > 0 and len(curve) >= 20:
                limits.append(("far_above_minimum", 10 * max(found.low, 0.01 * found.first)))
    return min(limits, key=lambda limit: limit[1])


_VALUES = "{metric} {first} at first, {best} at best, {last} at last"
_LEVEL = _VALUES + ", a median of {measured} at its end"


def _finding(run: Run, code: str, curve: Curve, found: Shape, limit: float | None) -> Finding:
    said = course(run, curve)
    turned = -1.0 if curve.role.direction is Direction.HIGHER else 1.0
    bounds: tuple[Bound, ...] = ()
    if limit is not None:
        bounds = (ceiling(limit, "from its course") if turned > 0 else floor(-limit, "from its course"),)
    return found_at(
        curve,
        -1,
        code,
        turned * found.last,
        bounds=bounds,
        evidence=said,
        phrase=_VALUES if said[-1].value == turned * found.last else _LEVEL,
    )


_case = made.Cases(LossDiverging())
_NOISE = [0.05 * math.sin(7.3 * i * i) for i in range(60)]
_FALL = [a + b for a, b in zip(made.lines(60, 3.0, 1.0, 0.6, 0.5, 0.45), _NOISE, strict=True)]
_SPIKE = [*_FALL[:30], 3.5, 2.4, 1.5, *_FALL[33:]]
_UP = [*_FALL[:40], *made.lines(20, 0.5, 4.0)]

PASSES = (
    _case("perfect_oracle", made.window_run([0.0] * 20)),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL, train_cosine=made.AMN_584K_TRAIN)),
    _case("spike_that_recovers", made.window_run(_SPIKE)),
    _case("cognate_epoch_means", {"train_loss": made.COGNATE_TRAIN_LOSS}),
    _case("leap_that_is_made_good", made.window_run([2.0, 40.0, 30.0, 25.0, *_FALL])),
    _case(
        "fine_tune_of_noisy_tiny_losses",
        made.window_run([2e-4 * (1 + 60 * (i % 7 == 3)) * (0.3 if i % 3 else 1.0) for i in range(50)] + [2e-4] * 4),
    ),
    _case("warm_restart", {"train_loss": [2.0, 0.4, 0.1, 0.5, 0.3, 0.1, 0.06, 0.5, 0.3, 0.2]}),
    _case("first_epoch_of_raw_targets", {"train_loss": [3e5, 900.0, 40.0, *made.lines(9, 20.0, 9.0, 8.0, 8.5)]}),
    _case(
        "critic_whose_offset_drifts",
        {"d_loss": made.lines(10, -1.3, -0.4, -0.6, -0.4), "g_loss": made.lines(10, 0.4, 5.9, 60.0)}
        | {"distance": made.lines(10, 0.9, 0.5)},
    ),
    _case("near_zero", made.window_run([1.0] * 5 + [1e-7, 5e-7, 2e-7, 9e-7, 1e-6] * 7)),
    _case(
        "fine_tune_that_grows_sure_of_its_errors",
        {"train_loss": made.lines(4, 0.45, 0.2, 0.05), "eval_loss": made.lines(4, 0.33, 0.42, 0.58)}
        | {"eval_accuracy": [0.9, 0.91, 0.915, 0.9]},
    ),
    _case("density", {"loss": made.lines(20, 1.4, -2.0, -3.0, -3.2)}),
    _case("policy", {"loss": made.lines(20, 0.01, 0.4), "reward": made.lines(20, 10.0, 180.0)}),
)
FAILS = (
    _case("climbs_at_the_end", made.window_run(_UP), "gave_back"),
    _case("gave_back", made.window_run([*_FALL[:40], *[2.4] * 20]), "gave_back"),
    replace(
        _case(
            "data_that_become_harder",
            {"loss": [0.30, 0.4, 0.55, 0.84, 0.68, 0.7], "val_loss": [0.53, 0.37, 0.359, 0.356, 0.355, 0.354]},
        ),
        status=Status.WARNING,
    ),
    _case("from_the_first_step", made.window_run(made.lines(20, 1.0, 5.0)), "above_start"),
    _case(
        "leap_at_the_first_steps", made.window_run([4.47, 70.0, 2e4, 4e5, 7e6, *made.lines(40, 1e6, 300.0, 6.0, 4.7)])
    ),
    _case(
        "made_again_in_every_epoch",
        {"loss": [0.54, 0.62, 0.63, 0.59, 0.57, 0.61], "val_loss": [0.25, 0.33, 0.37, 0.30, 0.32, 0.34]},
        "worse_than_the_first_epoch",
    ),
    _case(
        "leap_at_the_first_steps_that_a_score_makes_good",
        made.window_run([0.43, 4393.0, 3314.0, 989.0, *made.lines(40, 2429.0, 800.0, 5.0, 0.97)]).extended(
            run_from({"eval_accuracy": made.lines(10, 0.08, 0.16, 0.64)}).events
        ),
        "never_back_after_a_leap",
    ),
    _case(
        "rises_in_each_of_the_last_epochs",
        {"train_loss": [2.6, 1.0, 0.3, 0.06, 0.08, 0.13, 0.2, 0.33, 0.46, 0.55]},
        "climbs_to_the_end",
    ),
    _case(
        "first_epoch_blew_up",
        {"train_loss": [3311.0, 88.0, 6.6, *made.lines(27, 0.66, 0.64, 0.68, 0.8)]},
        "blew_up_at_first",
    ),
    _case(
        "critic_without_a_penalty",
        {"d_loss": made.lines(16, -0.5, -0.6, -4.0, -13.2), "g_loss": made.lines(16, 3.0, 8.0, 30.0, 101.0)},
        "players_run_away",
    ),
    _case("sign_of_a_term", {"val_loss": [48.2, -4.0e17, *[-2.0e23] * 8]}, "runs_away"),
    _case("sign", {"loss": [2.3, -4.0, -40.0, -160.0, -600.0, -2400.0]}, "runs_away"),
    _case("p4", made.val_run(made.P4_VAL), "collapsed", measured=0.338),
    _case("v3", made.val_run(made.V3_VAL), "collapsed"),
    _case("p6b", made.val_run(made.P6B_VAL), "above_start"),
    _case("validation_alone", {"loss": [2.0, 1.0, 0.8], "val_loss": [2.1, 9.0, 40.0]}),
)
