"""Near-duplicates: which sampled vectors have one among all rows of a corpus. Nothing is missed by the short cut.

Orthonormal directions never lengthen a difference, so two unit vectors of cosine above ``NEAR`` are closer than
sqrt(2 (1 - NEAR)) in the sketch too: everything farther apart there is ruled out, the rest is compared in full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data.gates.rows import Mask, Scan, directed
from models.data.gates.sketch import Floats, reach
from models.data.mmap import take
from models.data.store import Corpus

NEAR = 0.999
QUERIES = 1_000  # rows whose near-duplicates are looked for; the pool is always the whole corpus
BLOCK = 4096
MANY = 8 * BLOCK  # pairs that the sketch lets through; beyond it one matrix product is cheaper


def pick_rows(mask: Mask, count: int = QUERIES, seed: int = 0) -> NDArray[np.int64]:
    """At most ``count`` of the rows where ``mask`` holds, drawn at random, sorted."""
    rows = np.flatnonzero(mask)
    if len(rows) > count:
        rows = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
    return rows


def near_rows(
    queries: tuple[Corpus, Scan, NDArray[np.int64]], pool: tuple[Corpus, Scan], allowed: Mask | None = None
) -> Mask:
    """Which query rows have a near-duplicate in the pool, [Q]; a row is not its own duplicate.

    Args:
        queries: a corpus, its scan, and the rows asked about.
        pool: the corpus that is searched, and its scan.
        allowed: rows of the pool that count, [M]; all where None.
    """
    queried, asked_scan, rows = queries
    corpus, found = pool
    vectors = directed(take(queried.vectors, rows))[0]
    sketch = asked_scan.sketch[rows]
    own = rows if queried is corpus else np.full(len(rows), -1, dtype=np.int64)
    hit = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(corpus), BLOCK):
        open_ = np.flatnonzero(~hit)
        if not len(open_):
            break
        part = slice(start, min(start + BLOCK, len(corpus)))
        close = _close(sketch[open_], found.sketch[part])
        if allowed is not None:
            close &= allowed[part]
        query, place = np.nonzero(close)
        other = own[open_[query]] != start + place
        hit[open_[_same(vectors[open_], corpus, start, query[other], place[other])]] = True
    return hit


def _close(queries: Floats, block: Floats) -> Mask:
    """Pairs that the sketch cannot rule out, [Q, n]; a NaN rules out."""
    distance = queries @ block.T
    distance *= -2.0
    distance += np.einsum("nk,nk->n", queries, queries)[:, None]
    distance += np.einsum("nk,nk->n", block, block)
    return np.asarray(distance <= reach(NEAR))


def _same(
    vectors: Floats, corpus: Corpus, start: int, query: NDArray[np.int64], place: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Queries with a cosine above NEAR among the pairs left, compared in full."""
    if not len(query):
        return query
    if len(query) > MANY:
        block = directed(take(corpus.vectors, np.arange(start, min(start + BLOCK, len(corpus)))))[0]
        return query[(vectors @ block.T)[query, place] > NEAR]
    used, position = np.unique(place, return_inverse=True)
    block = directed(take(corpus.vectors, start + used))[0]
    near = np.zeros(len(query), dtype=bool)
    for first in range(0, len(query), BLOCK):
        part = slice(first, first + BLOCK)
        near[part] = np.einsum("nd,nd->n", vectors[query[part]], block[position[part]]) > NEAR
    return query[near]
