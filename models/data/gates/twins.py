"""The nearest vector of a pool for every query, exactly, where its cosine is at least a stated bound.

Both sides are parted into boxes of neighbouring sketches; two boxes that are farther apart than the bound allows are
never looked at, nor are pairs whose sketches are; what is left is compared in full. Nothing is missed by the short cut
(:mod:`models.data.gates.sketch`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.gates.rows import Mask, Scan, directed
from models.data.gates.sketch import Floats, reach
from models.data.mmap import take
from models.data.store import Corpus

Ints = NDArray[np.int64]
LEAF = 512  # rows of a box
DENSE = 0.02  # share of the pairs of two boxes from which one matrix product is cheaper than pair by pair
PROBE = 200  # queries from which the work is foreseen
LEAST = 1_000  # queries that are always searched
MOST = 40_000_000  # pairs compared in full, about; beyond it only a random part of the queries is searched
CHUNK = 4_096


@dataclass(frozen=True)
class Rows:
    """Rows of a corpus with what one pass over it found."""

    corpus: Corpus
    scan: Scan
    rows: Ints

    def unit(self, chosen: Ints) -> Floats:
        """Unit vectors of the rows at these places of ``rows``."""
        return directed(take(self.corpus.vectors, self.rows[chosen]))[0]

    @property
    def sketch(self) -> Floats:
        return self.scan.sketch[self.rows]

    def only(self, chosen: Ints | Mask) -> Rows:
        return Rows(self.corpus, self.scan, self.rows[chosen])


@dataclass(frozen=True)
class Twins:
    """The nearest row of the pool for every query that was searched.

    Attributes:
        asked: the queries searched, rows of their corpus [Q], sorted.
        cosine: with the nearest row of the pool, [Q]; 0 where that is below the bound.
        row: that row of the pool's corpus, [Q]; -1 where there is none.
        same: whether it is equal bit for bit, [Q].
    """

    asked: Ints
    cosine: Floats
    row: Ints
    same: Mask


def nearest_rows(queries: Rows, pool: Rows, cosine: float, *, most: int = MOST) -> Twins:
    """Twins of the queries in the pool, of at least ``cosine``; a random part of the queries where it is too much work.

    Args:
        most: pairs that may be compared in full, about.
    """
    _, first = np.unique(pool.scan.hashes[pool.rows], return_index=True)
    pool = pool.only(np.sort(first))
    kept = _affordable(queries, pool, cosine, most)
    queries = queries.only(kept)
    best = np.zeros(len(queries.rows), dtype=np.float32)
    row = np.full(len(queries.rows), -1, dtype=np.int64)
    same = _equal(queries, pool, row)
    best[same] = 1.0
    left = np.flatnonzero(~same)
    if len(left) and len(pool.rows):
        ours, theirs = Boxes.of(queries.sketch[left]), Boxes.of(pool.sketch)
        for query, place in _close_pairs(ours, theirs, reach(cosine)):
            _compare(queries, pool, (left[query], place), best, row)
    row[best < cosine] = -1
    best[best < cosine] = 0.0
    return Twins(queries.rows, best, row, same)


@dataclass(frozen=True)
class Boxes:
    """Sketches in an order in which neighbours stand together, cut into boxes.

    Attributes:
        order: places of the sketches, [n].
        sketch: in that order, [n, K].
        edges: first place of every box and the end, [B + 1].
        low, high: corners of every box, [B, K].
    """

    order: Ints
    sketch: Floats
    edges: Ints
    low: Floats
    high: Floats

    @classmethod
    def of(cls, sketch: Floats) -> Boxes:
        """Halved at the median of the widest direction, again and again."""
        order = np.arange(len(sketch))
        edges, stack = [0], [(0, len(sketch))]
        while stack:
            start, stop = stack.pop()
            if stop - start <= LEAF:
                edges.append(stop)
                continue
            part = order[start:stop]
            seen = sketch[part]
            along = seen[:, int(np.argmax(seen.max(axis=0) - seen.min(axis=0)))]
            half = (stop - start) // 2
            order[start:stop] = part[np.argpartition(along, half)]
            stack += [(start + half, stop), (start, start + half)]
        placed = np.ascontiguousarray(sketch[order])
        cuts = np.array(edges)
        low, high = (corner.reduceat(placed, cuts[:-1], axis=0) for corner in (np.minimum, np.maximum))
        return cls(order, placed, cuts, low, high)

    def gap(self, low: Floats, high: Floats) -> Floats:
        """Squared distance of every box from another box, [B]."""
        apart = np.maximum(self.low - high, low - self.high)
        np.maximum(apart, 0.0, out=apart)
        return np.asarray(np.einsum("bk,bk->b", apart, apart))


def _close_pairs(ours: Boxes, theirs: Boxes, limit: float) -> Iterator[tuple[Ints, Ints]]:
    """Places of pairs whose sketches are at most ``limit`` apart (squared), box by box."""
    squares = np.einsum("nk,nk->n", theirs.sketch, theirs.sketch)
    right = np.concatenate([-2.0 * theirs.sketch, np.ones_like(squares)[:, None], squares[:, None]], axis=1).T
    right = np.ascontiguousarray(right)
    for box, (start, stop) in enumerate(zip(ours.edges[:-1], ours.edges[1:], strict=True)):
        mine = ours.sketch[start:stop]
        left = np.concatenate([mine, np.einsum("nk,nk->n", mine, mine)[:, None], np.ones((len(mine), 1))], axis=1)
        left = left.astype(np.float32)
        for other in np.flatnonzero(theirs.gap(ours.low[box], ours.high[box]) <= limit):
            first, end = theirs.edges[other], theirs.edges[other + 1]
            distance = left @ right[:, first:end]
            if distance.min() > limit:
                continue
            query, place = np.nonzero(distance <= limit)
            yield ours.order[start + query], theirs.order[first + place]


def _compare(queries: Rows, pool: Rows, pairs: tuple[Ints, Ints], best: Floats, row: Ints) -> None:
    """Cosines of pairs (places of queries and of the pool); ``best`` and ``row`` of each query are kept up."""
    query, place = pairs
    asked, at = np.unique(query, return_inverse=True)
    held, to = np.unique(place, return_inverse=True)
    mine, theirs = queries.unit(asked), pool.unit(held)
    if len(query) > DENSE * len(asked) * len(held):
        every = mine @ theirs.T
        where = every.argmax(axis=1)
        top = every[np.arange(len(asked)), where]
    else:
        cosines = np.empty(len(query), dtype=np.float32)
        for start in range(0, len(query), CHUNK):
            part = slice(start, start + CHUNK)
            cosines[part] = np.einsum("nd,nd->n", mine[at[part]], theirs[to[part]])
        order = np.argsort(cosines, kind="stable")  # the largest of a query is written last
        top, where = np.zeros(len(asked), dtype=np.float32), np.zeros(len(asked), dtype=np.int64)
        top[at[order]], where[at[order]] = cosines[order], to[order]
    better = top > best[asked]
    best[asked[better]], row[asked[better]] = top[better], pool.rows[held[where[better]]]


def _equal(queries: Rows, pool: Rows, row: Ints) -> Mask:
    """Which queries have the bits of a row of the pool; ``row`` is filled in for them."""
    if queries.corpus.vectors.dtype != pool.corpus.vectors.dtype:
        return np.zeros(len(queries.rows), dtype=bool)
    theirs, ours = pool.scan.hashes[pool.rows], queries.scan.hashes[queries.rows]
    order = np.argsort(theirs)
    place = np.searchsorted(theirs[order], ours)
    found = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(ours), dtype=np.int64)
    same = theirs[found] == ours if len(order) else np.zeros(len(ours), dtype=bool)
    row[same] = pool.rows[found[same]]
    return same


def _affordable(queries: Rows, pool: Rows, cosine: float, most: int) -> Ints:
    """Places of the queries to search: all, or as many as about ``most`` full comparisons allow, drawn at random."""
    count = len(queries.rows)
    everything = np.arange(count)
    if count <= LEAST or not len(pool.rows):
        return everything
    rng = np.random.default_rng(0)
    probe = queries.only(np.sort(rng.choice(count, PROBE, replace=False))).sketch
    size = np.einsum("nk,nk->n", probe, probe)[:, None]
    pairs = 0
    for start in range(0, len(pool.rows), CHUNK):
        block = pool.scan.sketch[pool.rows[start : start + CHUNK]]
        distance = size + np.einsum("nk,nk->n", block, block) - 2.0 * (probe @ block.T)
        pairs += int((distance <= reach(cosine)).sum())
    allowed = max(int(most * PROBE / pairs) if pairs else count, LEAST)
    return everything if allowed >= count else np.sort(rng.choice(count, allowed, replace=False))
