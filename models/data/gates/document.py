"""Whether rows stand as they do in their documents: what similarity by distance shows, whatever the article ids say.

In prose the next chunk stands out: of the fall of the cosine from lag 1 to lag 5 about half lies between lag 1 and
lag 2. Where chunks are shuffled over a short range that shape is lost, over a long range the fall itself; and where
blocks of a fixed size were shuffled, or moved, every k-th pair of neighbours is less alike than the others.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.gates.rows import Mask, directed
from models.data.gates.sketch import Floats
from models.data.mmap import take
from models.data.store import Windows

Ints = NDArray[np.int64]
Float64 = NDArray[np.float64]
LAGS = 5
STRETCHES = 16  # parts of the corpus that are looked at one by one: a fault may begin at some row
LONGEST = 8_192  # rows of a stretch
SHORTEST = 1_500  # rows of a stretch, where there are as many
GROUPS = 8  # parts of a stretch, from which the error of its figures is estimated
LEAST = 400  # pairs of neighbours below which order is not measured
PERIODS = 128  # the longest block looked for
CYCLES = 30  # pairs that one place of a period must have
ROUND = (10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 250, 256, 500, 512, 1000, 1024)
"""Sizes of blocks that programs have; fewer than all to PERIODS, so that chance has less to offer among them."""
Fact = float | int | str | list[float] | list[int] | list[str]


@dataclass(frozen=True)
class Sequence:
    """Rows in the order of the text, with the number of the run of text that each belongs to."""

    rows: Ints
    run: Ints

    @classmethod
    def of(cls, windows: Windows) -> Sequence:
        """The corpus itself, or, of ready-made windows, every stretch in which each window follows the one before."""
        if windows.starts is not None:
            edges = np.diff(windows.corpus.article, prepend=windows.corpus.article[:1]) != 0
            return cls(np.arange(len(windows.corpus)), np.cumsum(edges))
        index = windows.rows()
        follows = (index[1:, :-1] == index[:-1, 1:]).all(axis=1) if len(index) else np.empty(0, dtype=bool)
        first = np.append(True, ~follows)
        keep = np.ones(index.shape, dtype=bool)
        keep[~first, :-1] = False
        run = np.broadcast_to(np.cumsum(first)[:, None], index.shape)
        return cls(index[keep].astype(np.int64), run[keep])

    def place(self) -> Ints:
        """Place of every row in its run."""
        first = np.append(True, np.diff(self.run) != 0)
        begins: Ints = np.flatnonzero(first)
        return np.asarray(np.arange(len(self.run)) - begins[np.cumsum(first) - 1])


@dataclass(frozen=True)
class Profile:
    """Sums and counts of the cosine at lag 1 to LAGS, [groups, LAGS]."""

    sums: Float64
    counts: Float64

    def lags(self) -> Float64:
        return np.asarray(self.sums.sum(axis=0) / np.maximum(self.counts.sum(axis=0), 1))

    def shape(self) -> tuple[float, float]:
        """The fall from lag 1 to the last, and the share of it between lag 1 and lag 2."""
        lags = self.lags()
        fall = float(lags[0] - lags[-1])
        return fall, float(lags[0] - lags[1]) / fall if fall else float("nan")

    def errors(self) -> tuple[float, float]:
        """Standard errors of both by the jackknife over the groups."""
        used = np.flatnonzero(self.counts[:, -1])
        if len(used) < 2:
            return float("nan"), float("nan")
        without = [Profile(np.delete(self.sums, group, 0), np.delete(self.counts, group, 0)).shape() for group in used]
        found = np.array(without)
        spread = np.sqrt((len(used) - 1) * found.var(axis=0))
        return float(spread[0]), float(spread[1])


def document_facts(windows: Windows) -> dict[str, Fact]:
    """Fall and shape of the cosine by lag, over all and in every stretch, and the strongest period of neighbours.

    Nothing but the number of pairs where there are fewer than LEAST.
    """
    text = Sequence.of(windows)
    parts = stretches(len(text.rows))
    seen = [_stretch(windows, text, start, stop) for start, stop in parts]
    pairs = int(sum(profile.counts[:, 0].sum() for profile, _, _ in seen))
    facts: dict[str, Fact] = {"order_pairs": pairs}
    if pairs < LEAST:
        return facts
    total = Profile(
        np.stack([profile.sums.sum(axis=0) for profile, _, _ in seen]),
        np.stack([profile.counts.sum(axis=0) for profile, _, _ in seen]),
    )
    groups = Profile(np.concatenate([p.sums for p, _, _ in seen]), np.concatenate([p.counts for p, _, _ in seen]))
    whole = total if len(seen) >= GROUPS else groups
    room = 1.0 - _random(np.sum([mean for _, _, mean in seen], axis=0), sum(stop - start for start, stop in parts))
    fall, share = total.shape()
    fall_error, share_error = whole.errors()
    facts |= {
        "order_lags": total.lags().tolist(),
        "order_fall": fall / room,
        "order_fall_error": fall_error / room,
        "order_shape": share,
        "order_shape_error": share_error,
    }
    shapes = [(*profile.shape(), *profile.errors()) for profile, _, _ in seen]
    told = [
        np.isfinite(shape).all() for shape in shapes
    ]  # a stretch without five neighbours in two groups tells nothing
    shapes = [shape for shape, tells in zip(shapes, told, strict=True) if tells]
    if not shapes or not np.isfinite([fall, share, fall_error, share_error]).all():
        return {"order_pairs": pairs}
    facts |= {
        "order_stretch_rows": [int(text.rows[start]) for (start, _), tells in zip(parts, told, strict=True) if tells],
        "order_stretch_falls": [shape[0] / room for shape in shapes],
        "order_stretch_fall_errors": [shape[2] / room for shape in shapes],
        "order_stretch_shapes": [shape[1] for shape in shapes],
        "order_stretch_shape_errors": [shape[3] for shape in shapes],
    }
    adjacent = np.concatenate([cosines for _, cosines, _ in seen])
    chosen = np.concatenate([np.arange(start, stop) for start, stop in parts])
    return facts | period_facts(adjacent, text.rows[chosen], text.place()[chosen], text.run[chosen])


def stretches(rows: int) -> list[tuple[int, int]]:
    """Start and stop of the parts that are looked at: all rows of a small corpus, evenly spread ones of a large one."""
    count = min(max(rows // SHORTEST, 1), STRETCHES)
    edges = np.linspace(0, rows, count + 1).astype(int)
    return [(int(a), int(min(b, a + LONGEST))) for a, b in itertools.pairwise(edges)]


def _stretch(windows: Windows, text: Sequence, start: int, stop: int) -> tuple[Profile, Floats, Float64]:
    """Its profile by group, the cosine of every row with the one before it (NaN at the edge of a run), the sum of all
    unit vectors."""
    rows, run = text.rows[start:stop], text.run[start:stop]
    unit = directed(take(windows.corpus.vectors, rows))[0]
    group = np.arange(len(rows)) * GROUPS // max(len(rows), 1)
    sums, counts = np.zeros((GROUPS, LAGS)), np.zeros((GROUPS, LAGS))
    adjacent = np.full(len(rows), np.nan, dtype=np.float32)
    for lag in range(1, min(LAGS, len(rows) - 1) + 1):
        cosine = np.einsum("nd,nd->n", unit[lag:], unit[:-lag])
        usable = (run[lag:] == run[:-lag]) & np.isfinite(cosine)
        sums[:, lag - 1] = np.bincount(group[lag:][usable], cosine[usable], GROUPS)
        counts[:, lag - 1] = np.bincount(group[lag:][usable], minlength=GROUPS)
        if lag == 1:
            adjacent[1:][usable] = cosine[usable]
    return Profile(sums, counts), adjacent, np.asarray(np.nansum(unit, axis=0, dtype=np.float64))


def _random(total: Float64, rows: int) -> float:
    """Mean cosine of two different rows, of their sum."""
    return (float(total @ total) - rows) / max(rows * (rows - 1), 1)


def period_facts(adjacent: Floats, row: Ints, place: Ints, run: Ints) -> dict[str, Fact]:
    """The block size at whose edges neighbours are least alike, counted from the first row or in every article.

    ``order_period_excess`` is by how many standard errors, less those that the worst place of all blocks up to that
    size is off by chance; the first block of an article is left out, because articles begin alike.
    """
    known = np.isfinite(adjacent)
    adjacent, row, place, run = adjacent[known], row[known], place[known], run[known]
    _, article = np.unique(run, return_inverse=True)
    level = np.bincount(article, adjacent) / np.bincount(article)
    rest: Float64 = adjacent - level[article]
    deviation = float(rest.std()) or 1.0
    best = (0.0, 0, 0.0, 0.0)  # in standard errors beyond what the best of so many places reaches by chance
    for counted, later in ((row, np.ones(len(row), dtype=bool)), (place, None)):
        for period in range(2, PERIODS + 1):
            mask: Mask = later if later is not None else place > period
            best = min(best, _edge(rest, adjacent, counted, mask, period, deviation))
    for size in ROUND:
        best = min(best, _round_edge(rest, adjacent, place, size, deviation))
    excess, period, inside, edge = best
    return {
        "order_period": period,
        "order_period_excess": -excess,
        "order_period_inside": inside,
        "order_period_edge": edge,
    }


def _edge(
    rest: Float64, adjacent: Floats, counted: Ints, mask: Mask, period: int, deviation: float
) -> tuple[float, int, float, float]:
    """Excess (negative) of the place in a period with the least cosine, the period, mean cosine elsewhere and there."""
    at = counted[mask] % period
    count = np.bincount(at, minlength=period)
    if not (count >= CYCLES).any():
        return 0.0, 0, 0.0, 0.0
    mean = np.bincount(at, rest[mask], period) / np.maximum(count, 1)
    z = np.where(count >= CYCLES, mean * np.sqrt(count) / deviation, 0.0)
    worst = int(z.argmin())
    there = at == worst
    excess = float(z[worst]) + math.sqrt(2.0 * math.log(period * (period + 1)))
    if excess >= 0 or there.all():
        return 0.0, 0, 0.0, 0.0
    return excess, period, float(adjacent[mask][~there].mean()), float(adjacent[mask][there].mean())


def _round_edge(
    rest: Float64, adjacent: Floats, place: Ints, size: int, deviation: float
) -> tuple[float, int, float, float]:
    """The same of every ``size``-th row of an article, the edges of blocks that are counted from its beginning."""
    there = place % size == 0
    count = int(there.sum())
    if count < CYCLES or there.all():
        return 0.0, 0, 0.0, 0.0
    excess = float(rest[there].mean()) * math.sqrt(count) / deviation + math.sqrt(2.0 * math.log(len(ROUND)))
    if excess >= 0:
        return 0.0, 0, 0.0, 0.0
    return excess, size, float(adjacent[~there].mean()), float(adjacent[there].mean())
