"""Figures of one curve: its noise, its level at the ends, its lowest level, and whether it moved beyond its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FIRST = 0.9539
"""Median of |difference of two standard normal deviates|."""
_SECOND = 1.6521
"""Median of |x - 2 y + z| of standard normal deviates."""


def noise(values: Floats) -> float:
    """Standard deviation of a point about its trend, from neighbouring points; 0 with fewer than three."""
    if len(values) < 3:
        return 0.0
    first = float(np.median(np.abs(np.diff(values)))) / _FIRST
    if len(values) < 5:
        return first
    second = float(np.median(np.abs(values[2:] - 2 * values[1:-1] + values[:-2]))) / _SECOND
    return min(first, second)


def blocks(values: Floats, count: int) -> Floats:
    """Medians of ``count`` consecutive parts of nearly equal length (of as many as there are values, at most)."""
    count = max(1, min(count, len(values)))
    cuts = np.linspace(0, len(values), count + 1).round().astype(int)
    return np.array([np.median(values[a:b]) for a, b in pairwise(cuts.tolist())])


@dataclass(frozen=True, slots=True)
class Shape:
    """A curve in levels that one point cannot move.

    Args:
        first: level at the beginning (a single point where the curve is steep there).
        low, low_at: lowest level and the index of its last point.
        high: highest level.
        last: level at the end.
        noise: standard deviation of a point.
        error: standard error of a level.
        count: points.
    """

    first: float
    low: float
    low_at: int
    high: float
    last: float
    noise: float
    error: float
    count: int

    @property
    def fall(self) -> float:
        return self.first - self.low

    @property
    def rise(self) -> float:
        """From the lowest level to the end."""
        return self.last - self.low


def shape(values: Floats) -> Shape:
    """Levels of a curve with at least one finite value; what is not finite must be left out before."""
    sigma = noise(values)
    count = len(values)
    size = 1 if count < 8 else max(2, min(count // 12, 200))
    parts = blocks(values, count // size)
    error = 1.2533 * sigma / math.sqrt(size)
    at = int(parts.argmin())
    end = parts[-1] if size > 1 else float(np.median(values[-2:])) if count >= 6 else float(values[-1])
    if size > 1 and len(parts) >= 3:
        end = min(float(end), float(np.median(values[-2 * size :])))
    first = float(parts[0])
    if count >= 8 and float(values[0]) > first:
        first = max(first, float(values[0]) - 3 * sigma)
    return Shape(
        first=first,
        low=float(parts[at]),
        low_at=min(count - 1, round((at + 1) * count / len(parts)) - 1),
        high=float(parts.max()),
        last=float(end),
        noise=sigma,
        error=error,
        count=count,
    )


def trend(values: Floats) -> float:
    """Kendall's rank trend as a standard normal deviate of a flat curve: below -4 it falls, above 4 it rises.

    Long curves are compared in 60 levels, so that noise that lasts for a few points counts once.
    """
    points = blocks(values, 60) if len(values) > 60 else values
    n = len(points)
    if n < 3:
        return 0.0
    signs = np.sign(points[None, :] - points[:, None])
    score = float(np.triu(signs, 1).sum())
    return score / math.sqrt(n * (n - 1) * (2 * n + 5) / 18)


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's; 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else 0.0


def constant_from(values: Floats, relative: float = 1e-6) -> int:
    """Index from which all values are the same to ``relative``; ``len(values) - 1`` where the last two differ."""
    if not len(values):
        return 0
    same = np.abs(values - values[-1]) <= relative * abs(values[-1])
    different = np.flatnonzero(~same)
    return int(different[-1]) + 1 if len(different) else 0
