"""Losses that leap in the first steps or epochs and are never made good, and losses that fall without a limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lvmcheck.checks.curves._curves import SURE, improved, lower_is_better
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, player
from lvmcheck.run.roles import Direction
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import Shape, shape, trend

LEAPT, LEAP, BACK = 20, 10.0, 0.85
"""Windows from which the first steps are seen, times its first value that a loss leaps to, share that it ends above."""
HUGE, WORSE_OFF = 100.0, 1.5
"""Times its first and its last value that a loss leaps to, and times its first at its end, whatever a score says."""
EPOCHS, WORSE = 6, 1.1
"""Epochs of which all after the first are worse, and times the loss of the first that they exceed."""
SETTLED, ROSE = 12, 1.1
"""Epochs from which a loss has a course after a first one that was huge, and times its lowest level that it ends at."""
CLIMB, CLIMBS = 8, (1.3, 2.0)
"""Epochs that show a climb, and times its lowest value that training and validation end at."""
IN_A_ROW, SEVERAL, PART = 5, 4.0, 0.1
"""Epochs at the end that all rise, times the lowest value that they rise to, and part of the whole fall."""
MATCH, STILL_GROWS = 10, 1.8
"""Evaluations of two players that show where they go, and times its middle level that a loss ends at."""
BOTTOMLESS = 1e5
"""Times the size of its first value that no density's logarithm falls below zero."""
GOOD = 0.5
"""Share of its first value that a distance of the samples falls to where training works all the same."""

BlowUp = tuple[str, Curve, Shape, float]
"""Code, curve, levels, and what the end may not exceed."""


def blown_up(run: Run) -> BlowUp | None:
    if run.curves.rewards or run.curves.adversarial or run.of(ev.Stage):
        return None
    return (
        _never_back(run)
        or _first_epoch_best(run)
        or _first_epoch_huge(run)
        or _both_climb(run)
        or _climbs_to_the_end(run)
    )


def _never_back(run: Run) -> BlowUp | None:
    """A loss that leapt in the first steps and ends no better than it began, or than a little below that."""
    windows, curves = run.curves.window_losses, run.curves
    if windows is None or len(windows) < LEAPT:
        return None
    values = windows.values
    first, last = float(values[0]), float(np.median(values[-3:]))
    early = values[1 : max(4, len(values) // 2)]
    top = float(np.median(np.partition(early, -3)[-3:])) if len(early) >= 3 else float(early.max())
    if not first > 0 or not top > LEAP * first or not min(last, float(np.quantile(early, 0.1))) > BACK * first:
        return None
    beyond = top > HUGE * first and top > HUGE * last and last > WORSE_OFF * first
    if any(map(_gained, curves.scores)) and not beyond:
        return None
    return "never_back_after_a_leap", windows, replace(shape(values), first=first, last=last), BACK * first


def _first_epoch_best(run: Run) -> BlowUp | None:
    """A validation loss that no later epoch brings to that of the first, beside a training loss that rises as well."""
    train = run.curves.epoch_losses
    if train is None or len(train) < EPOCHS:
        return None
    for curve in run.curves.validation:
        later, half = curve.values[1:], slice(len(curve) // 2, None)
        if len(curve) < EPOCHS or not curve.values[0] > 0 or later.min() <= WORSE * curve.values[0]:
            continue
        if float(np.median(train.values[len(train) // 2 :])) > float(train.values[0]) > 0:
            first = float(curve.values[0])
            found = replace(shape(curve.values), first=first, last=float(np.median(curve.values[half])))
            return "worse_than_the_first_epoch", curve, found, WORSE * first
    return None


def _first_epoch_huge(run: Run) -> BlowUp | None:
    """A training loss whose first epoch is a hundred times the rest, and which rises for two thirds of the run."""
    train = run.curves.epoch_losses
    if train is None or len(train) < SETTLED or not float(train.values.min()) > 0:
        return None
    values, third = train.values, len(train) // 3
    low, last = float(np.median(np.sort(values)[:3])), float(np.median(values[-(len(values) // 4) :]))
    if float(values[0]) < HUGE * low or last < ROSE * low or trend(values[third:]) < SURE:
        return None
    found = replace(shape(values), first=float(values[0]), last=last)
    return "blew_up_at_first", train, found, ROSE * low


def _both_climb(run: Run) -> BlowUp | None:
    """A validation loss that climbs to twice its lowest value while the training loss climbs as well."""
    train = run.curves.epoch_losses
    if train is None or len(train) < CLIMB:
        return None
    rises = trend(train.values) > SURE or trend(train.values[len(train) // 3 :]) > 2
    risen = float(np.median(train.values[-3:])) > CLIMBS[0] * float(train.values.min()) > 0
    for curve in run.curves.validation if rises and risen else ():
        low, last = float(curve.values.min()), float(np.median(curve.values[-3:]))
        early = int(curve.values.argmin()) < len(curve) // 3
        if len(curve) >= CLIMB and early and last > CLIMBS[1] * low > 0 and trend(curve.values) > 2:
            return "both_climb", curve, replace(shape(curve.values), last=last), CLIMBS[1] * low
    return None


def _climbs_to_the_end(run: Run) -> BlowUp | None:
    """A training loss that rises in each of the last epochs, to several times its lowest, as no restart does."""
    train = run.curves.epoch_losses
    if train is None or train.by_step or len(train) < CLIMB:
        return None
    values = train.values
    low, at, last = float(values.min()), int(values.argmin()), float(values[-1])
    rises = len(values) - 1 - at
    if rises < IN_A_ROW or not low > 0 or bool((np.diff(values[at:]) <= 0).any()):
        return None
    if last < SEVERAL * low or last - low < PART * (float(values[0]) - low):
        return None
    return "climbs_to_the_end", train, replace(shape(values), last=last), SEVERAL * low


def of_players(run: Run) -> list[Curve]:
    """Losses of the players of an adversarial run."""
    if not run.curves.adversarial:
        return []
    return [curve for curve in run.curves.of(Quantity.TERM, Quantity.LOSS) if player(curve.name) is not None]


def samples_improve(curve: Curve) -> bool:
    """Whether an evaluation of the samples got clearly better."""
    values = lower_is_better(curve)
    if curve.role.direction is Direction.LOWER and curve.role.quantity is Quantity.ERROR:
        return 0 <= float(np.median(values[-3:])) < GOOD * float(values[0])
    return curve.role.quantity is Quantity.SCORE and trend(values) < -3


def players(run: Run) -> BlowUp | None:
    """Losses of two players that both grow tenfold, and still grow in the second half: neither has a bound."""
    found: dict[str, tuple[Curve, float, float]] = {}
    for curve in of_players(run):
        who, size = player(curve.name) or "", np.abs(curve.values)
        if len(size) < MATCH:
            continue
        first, last, half = float(np.median(size[:3])), float(np.median(size[-2:])), len(size) // 2
        middle = float(np.median(size[half - 1 : half + 2]))
        if last > LEAP * max(first, 1e-3) and last > STILL_GROWS * middle:
            found[who] = (curve, first, last)
    if len(found) < 2:
        return None
    curve, first, last = max(found.values(), key=lambda item: item[2])
    levels = shape(np.abs(curve.values))
    return "players_run_away", curve, replace(levels, first=first, last=last), LEAP * first


def _gained(score: Curve) -> bool:
    """Whether a score says that the model learned all the same."""
    bounded = score.role.quantity in (Quantity.ACCURACY, Quantity.COSINE, Quantity.R2)
    return bounded and improved(score) and float(score.values[-1]) > 0.5 * min(score.role.high, 100.0)


def runs_away(values: np.ndarray, steps: np.ndarray, found: Shape) -> bool:
    """Whether a loss falls below zero ever faster, or to where no loss with a lower bound is.

    Args:
        values, steps: those of a curve; first steps are single ones, later ones windows, so half of the run is no half
            of the values.
    """
    scale = max(1.0, abs(found.first))
    if found.count < 6 or not found.last < -10 * scale:
        return False
    half = len(values) // 2
    if steps[-1] > steps[0]:
        half = min(max(1, int(np.searchsorted(steps, (steps[0] + steps[-1]) / 2))), len(values) - 2)
    middle = float(np.median(values[half - 1 : half + 2]))
    return found.last < -BOTTOMLESS * scale or middle - found.last > 1.2 * max(found.first - middle, 0.0)
