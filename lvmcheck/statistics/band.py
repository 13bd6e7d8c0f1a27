"""A band from several good runs, and the judgement of a new run against it at a stated false-alarm rate.

A new run of the same kind is one more draw: with n runs of mean m and spread s (n - 1), (x - m) / (s sqrt(1 + 1/n))
follows Student's t with n - 1 degrees of freedom (a prediction interval, which is what a tolerance interval becomes
for one future run). Many numbers are judged, so the stated rate is divided: half of it for the mean deviation of each
metric over the run (``drift``: the sensitive one), half for each epoch of each metric (``epochs``: which sees a run
that leaves the band and comes back, and says where). By Bonferroni the whole has at most the stated rate, whatever the
correlation between epochs and metrics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvmcheck.statistics.student import t_quantile

Floats = NDArray[np.float64]
RESOLUTION = 1e-7
"""Spreads below this are rounding: a band is never narrower, relative to the size of its numbers."""


@dataclass(frozen=True)
class Band:
    """One metric of several runs.

    Attributes:
        metric: its name.
        epochs: [E] int64. values: [n, E] float64, one row per seed.
    """

    metric: str
    epochs: NDArray[np.int64]
    values: Floats

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> Floats:
        return np.asarray(self.values.mean(axis=0))

    @property
    def spread(self) -> Floats:
        """Sample standard deviation over seeds, by epoch [E]."""
        return np.asarray(self.values.std(axis=0, ddof=1))

    def half_width(self, alpha: float) -> Floats:
        """Half the width of the two-sided interval for one new run, by epoch [E], at error rate ``alpha`` each."""
        return factor(self.n, alpha) * floored(self.spread, self.mean)


@dataclass(frozen=True)
class Departure:
    """Where a run leaves the band.

    Attributes:
        metric: of which metric. epoch: where, or None for the mean deviation over all epochs.
        measured: the run's number (or its mean deviation). centre, low, high: the band's.
        upward: whether it lies above. score: distance over half the width (more than 1 is outside); NaN is infinite.
    """

    metric: str
    epoch: int | None
    measured: float
    centre: float
    low: float
    high: float
    score: float

    @property
    def upward(self) -> bool:
        return self.measured > self.high


def factor(n: int, alpha: float) -> float:
    """Width of a two-sided prediction interval in sample spreads, from ``n`` >= 2 earlier runs."""
    if n < 2:
        raise ValueError(f"expected at least 2 runs, got {n}: one run shows no spread")
    return t_quantile(alpha / 2, n - 1) * math.sqrt(1 + 1 / n)


def floored(spread: Floats, mean: Floats) -> Floats:
    return np.maximum(spread, RESOLUTION * np.maximum(1.0, np.abs(mean)))


def departures(
    bands: Sequence[Band], run: Mapping[str, tuple[Sequence[int], Sequence[float]]], *, rate: float, whole: bool
) -> list[Departure]:
    """Where a run leaves its bands, the furthest first; empty when it stays inside.

    Args:
        bands: one per judged metric, of at least two runs each.
        run: metric -> (epochs, values) so far.
        rate: chance of any departure of a healthy run, over all metrics and epochs.
        whole: whether the run has ended, so that its drift can be judged.
    """
    found = []
    numbers = sum(len(band.epochs) for band in bands)
    for band in bands:
        epochs, values = (np.asarray(part) for part in run[band.metric])
        shared = np.isin(band.epochs, epochs)
        said = values[np.isin(epochs, band.epochs)].astype(np.float64)
        found += _epochs(band, shared, said, rate / 2 / numbers)
        if whole and shared.all():
            found += _drift(band, said, rate / 2 / len(bands))
    return sorted(found, key=lambda it: -it.score)


def _epochs(band: Band, shared: NDArray[np.bool_], said: Floats, alpha: float) -> list[Departure]:
    mean, half = band.mean[shared], band.half_width(alpha)[shared]
    outside = ~(np.abs(said - mean) <= half)  # NaN is outside
    return [
        Departure(
            band.metric,
            int(band.epochs[shared][i]),
            float(said[i]),
            float(mean[i]),
            float(mean[i] - half[i]),
            float(mean[i] + half[i]),
            _score(said[i] - mean[i], half[i]),
        )
        for i in np.flatnonzero(outside)
    ]


def _drift(band: Band, said: Floats, alpha: float) -> list[Departure]:
    deviation = float((said - band.mean).mean())
    own = (band.values - band.mean).mean(axis=1)  # of each earlier run; their mean is 0
    spread = floored(np.asarray(own.std(ddof=1)), np.asarray(band.mean.mean()))
    half = factor(band.n, alpha) * float(spread)
    if abs(deviation) <= half:
        return []
    return [Departure(band.metric, None, deviation, 0.0, -half, half, _score(deviation, half))]


def _score(distance: float, half: float) -> float:
    score = abs(float(distance)) / float(half)
    return score if math.isfinite(score) else math.inf
