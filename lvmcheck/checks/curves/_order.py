"""What the first steps of a run, kept one by one, say of the order of the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lvmcheck.checks.finding import Fact
from lvmcheck.run.curves import Curve
from lvmcheck.statistics.curve import correlation

FIRST = 200
"""Windows that are looked at."""
LEAST, ALIKE, SURE = 15, 0.8, 3.5
"""Steps of two epochs that are compared, their rank correlation, and its standard deviations from chance."""
TURNS = 0.2
"""Share of steps upward, and of steps downward, below which a course is a trend and no pattern."""
BEGINNING = 3
"""Steps of the first epoch in which any model learns more than its batches differ."""
LOW, BEFORE, AFTER = 0.3, 5, 8
"""Share of its first value that a loss falls to before it leaps, and steps before and after that must show it."""
LEAST_EPOCHS, WIDE, COURSE = 3, 6, 0.7
"""Boundaries of epochs that must show a course, windows of an epoch from which one can repeat, and its correlation."""
STEADY = 0.75
"""Share of the steps that go down where each batch is like the one before."""


def same_steps(windows: Curve) -> Fact | None:
    """The rank correlation of the steps of an epoch with those of the next, where it is no chance."""
    widths = np.diff(windows.steps, prepend=0)[:FIRST]
    epochs, steps, values = windows.epochs[:FIRST], windows.steps[:FIRST], windows.values[:FIRST]
    starts = {int(epoch): int((steps - widths)[epochs == epoch][0]) for epoch in np.unique(epochs)}
    for epoch in sorted(starts)[:-1]:
        if epoch + 1 not in starts:
            continue
        tables = [_steps_of(e, starts[e], epochs, steps, widths, values) for e in (epoch, epoch + 1)]
        shared = sorted(tables[0].keys() & tables[1].keys())[BEGINNING if epoch == min(starts) else 0 :]
        if len(shared) < LEAST:
            continue
        a, b = (np.array([table[key] for key in shared]) for table in tables)
        found = correlation(_ranks(a), _ranks(b))
        if turns(a) and turns(b) and found >= ALIKE and found * math.sqrt(len(shared) - 1) >= SURE:
            return Fact("correlation", found)
    return None


def _steps_of(
    epoch: int, start: int, epochs: np.ndarray, steps: np.ndarray, widths: np.ndarray, values: np.ndarray
) -> dict[int, float]:
    """Step within the epoch -> loss, of windows of a single step."""
    alone = (epochs == epoch) & (widths == 1)
    return dict(zip((steps[alone] - start).tolist(), values[alone].tolist(), strict=True))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of what is left without the straight line through the values."""
    x = np.arange(len(values), dtype=np.float64)
    rest = values - np.polyval(np.polyfit(x, values, 1), x)
    return np.asarray(rest.argsort().argsort(), dtype=np.float64)


def turns(values: np.ndarray) -> bool:
    """Whether a course goes up and down, as a trend does not."""
    up = float((np.diff(values) > 0).mean())
    return TURNS <= up <= 1 - TURNS


def falls_and_leaps(windows: Curve) -> Fact | None:
    """Where a loss that had fallen step by step leaps above its beginning in one step, and falls again from there."""
    widths = np.diff(windows.steps, prepend=0)[:FIRST]
    alone = widths == 1
    values = windows.values[: int(np.argmin(alone)) if not alone.all() else len(alone)]
    if len(values) < BEFORE + AFTER + 1 or not values[0] > 0:
        return None
    first, down = float(np.median(values[:2])), np.diff(values) < 0
    for at in range(BEFORE, len(values) - AFTER):
        if float(values[at]) <= first or float(np.median(values[at - BEFORE : at])) >= LOW * first:
            continue
        after = values[at : at + AFTER]
        alike = float(down[: at - 1].mean()) >= STEADY and float(down[at : at + AFTER - 1].mean()) >= STEADY
        if alike and float(after.min()) > first:
            epoch, step = windows.place(at)
            return Fact("leap_to", float(values[at]), epoch=epoch, step=step)
        return None
    return None


def epochs_of(windows: Curve) -> list[np.ndarray]:
    """Values of each epoch that has more than one."""
    cuts = np.flatnonzero(np.diff(windows.epochs)) + 1
    return [part for part in np.split(windows.values, cuts) if len(part) > 1]


def repeats(parts: Sequence[np.ndarray]) -> float | None:
    """Median correlation of the courses of neighbouring epochs, without the first; None with too few."""
    later = parts[1:]
    sizes = [len(part) for part in later]
    usual = max(set(sizes), key=sizes.count)
    courses = [_detrended(part) for part in later if len(part) == usual and turns(part)]
    size = max(float(np.abs(part).max()) for part in later)
    if usual < WIDE or len(courses) < LEAST_EPOCHS or max(float(course.std()) for course in courses) <= 1e-6 * size:
        return None
    return float(np.median([correlation(a, b) for a, b in pairwise(courses)]))


def _detrended(values: np.ndarray) -> np.ndarray:
    x = np.arange(len(values), dtype=np.float64)
    x, y = x - x.mean(), values - values.mean()
    return np.asarray(y - float(x @ y) / float(x @ x) * x)
