"""Fewer points of a long curve without losing what matters: ends, extremes and where it is not finite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POINTS = 600_000
"""Points that all curves of one report hold together."""
MOST, LEAST = 1000, 60
"""Points that one curve holds at most, and at least, however many curves there are."""


def points_a_curve(curves: int) -> int:
    """How many points each of ``curves`` curves may keep."""
    return max(LEAST, min(MOST, POINTS // max(1, curves)))


def thinned(y: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Positions to keep of a curve's values.

    The curve is cut into parts of equal length; of each its smallest and its largest value and its first value that is
    not finite are kept, and the first and the last point of the curve. So the largest, the smallest and every stretch
    of NaN stay visible. (The min-max rule of M4, Jugel et al. 2014, with NaN.)

    Args:
        y: values, float64 [n].
        limit: the most positions to keep, at least 8.

    Returns:
        Ascending positions, int64 [at most limit]; all of them where n is at most ``limit``.

    Raises:
        ValueError: a limit below 8.
    """
    if limit < 8:
        raise ValueError(f"expected a limit of at least 8 points, got {limit}")
    if len(y) <= limit:
        return np.arange(len(y), dtype=np.int64)
    parts = (limit - 2) // 3
    edges = np.linspace(0, len(y), parts + 1).astype(np.int64)
    indices = {0, len(y) - 1}
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = y[begin:end]
        finite = np.isfinite(part)
        if not finite.all():
            indices.add(begin + int(np.argmin(finite)))
        if finite.any():
            indices.add(begin + int(np.argmin(np.where(finite, part, np.inf))))
            indices.add(begin + int(np.argmax(np.where(finite, part, -np.inf))))
    return np.array(sorted(indices), dtype=np.int64)
