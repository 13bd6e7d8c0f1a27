"""Two curves side by side: where they part, and whether the distance is more than repeats differ among themselves."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.comparison.sides import Side
from lvmcheck.run.view import Run
from lvmcheck.statistics.student import upper_tail

P = 0.01
"""p-value below which two sides differ."""


@dataclass(frozen=True)
class CurveDiff:
    """One metric of both sides.

    Attributes:
        metric: its name. epochs: epochs that both have, ascending.
        a, b: mean over repeats at the last common epoch. difference: b - a there.
        first: the first epoch at which the runs that were named differ at all, or None.
        parts: the first epoch from which on the difference is more than repeats differ, or None.
        p: two-sided p-value of the difference over the second half of the epochs; NaN when no repeat shows a spread.
        spread: standard deviation over repeats at the last epoch, pooled; NaN without repeats.
    """

    metric: str
    epochs: tuple[int, ...]
    a: float
    b: float
    first: int | None
    parts: int | None
    p: float
    spread: float

    @property
    def difference(self) -> float:
        return self.b - self.a

    @property
    def differs(self) -> bool | None:
        """Whether the sides differ by more than repeats do; None when that cannot be known."""
        if self.first is None:
            return False
        return None if math.isnan(self.p) else self.p < P


def compare_metric(metric: str, a: Side, b: Side, noise: float | None = None) -> CurveDiff | None:
    """The metric on both sides; None when they have no epoch in common.

    Args:
        noise: standard deviation between repeats where it is known from elsewhere and the sides have none.
    """
    left, right = (_rows(metric, side.repeats) for side in (a, b))
    epochs = sorted(set.intersection(*(set(row) for row in (*left, *right))))
    if not epochs:
        return None
    mine, theirs = _rows(metric, (a.run,))[0], _rows(metric, (b.run,))[0]
    first = next((e for e in epochs if mine.get(e, math.nan) != theirs.get(e, math.nan)), None)
    half = epochs[len(epochs) // 2 :]
    late = [[statistics.fmean(row[e] for e in half) for row in rows] for rows in (left, right)]
    last = epochs[-1]
    ends = [[row[last] for row in rows] for rows in (left, right)]
    spread = pooled(*ends)
    return CurveDiff(
        metric=metric,
        epochs=tuple(epochs),
        a=statistics.fmean(ends[0]),
        b=statistics.fmean(ends[1]),
        first=first,
        parts=_parts(left, right, epochs, noise),
        p=p_value(*late, noise=noise),
        spread=spread if not math.isnan(spread) else (noise if noise is not None else math.nan),
    )


def _rows(metric: str, runs: Sequence[Run]) -> list[dict[int, float]]:
    series = [run.series(metric) for run in runs]
    return [dict(zip(s.epochs.tolist(), s.values.tolist(), strict=True)) for s in series]


def pooled(a: Sequence[float], b: Sequence[float]) -> float:
    """Pooled standard deviation within two groups; NaN when neither has two numbers."""
    df = len(a) + len(b) - 2
    if df < 1:
        return math.nan
    squares = sum((x - statistics.fmean(group)) ** 2 for group in (a, b) for x in group)
    return math.sqrt(squares / df)


def p_value(a: Sequence[float], b: Sequence[float], *, noise: float | None = None) -> float:
    """Two-sided p-value that two groups have one mean: Student's t with pooled spread.

    With one number each, ``noise`` (a standard deviation known from other repeats) stands in, by the normal
    distribution. NaN when neither is there. Without any spread it is 1 for equal means and 0 for others.
    """
    distance = abs(statistics.fmean(a) - statistics.fmean(b))
    if not math.isfinite(distance):
        return 0.0
    spread, df = pooled(a, b), len(a) + len(b) - 2
    if math.isnan(spread):
        if noise is None:
            return math.nan
        spread, df = noise, 10**7
    scale = spread * math.sqrt(1 / len(a) + 1 / len(b))
    if scale == 0.0:
        return 1.0 if distance == 0 else 0.0
    return min(1.0, 2 * upper_tail(distance / scale, df))


def _parts(
    left: Sequence[dict[int, float]], right: Sequence[dict[int, float]], epochs: Sequence[int], noise: float | None
) -> int | None:
    """The first epoch from which on the sides differ at p < 0.01 in every epoch to the end."""
    found = None
    for epoch in reversed(epochs):
        p = p_value([row[epoch] for row in left], [row[epoch] for row in right], noise=noise)
        if not p < P:
            break
        found = epoch
    return found


def first_step(a: Run, b: Run) -> int | None:
    """Last step of the first window whose mean loss differs; None when none does or their windows do not match."""
    theirs = {w.last_step: w.loss_mean for w in b.windows}
    return next((w.last_step for w in a.windows if w.last_step in theirs and w.loss_mean != theirs[w.last_step]), None)
