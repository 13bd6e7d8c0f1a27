"""Fingerprints of vectors: one number a row to find exact duplicates, one sha256 for whole corpora."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from models.data.mmap import blocks, take
from models.data.store import FloatArray, Rows, Windows

BLOCK = 4096


def hash_block(block: FloatArray) -> NDArray[np.uint64]:
    """64-bit multilinear hash of each row's bits, [n, D] to [n]; equal rows hash equal, others almost never.

    Fixed odd multipliers (seed 64), so it is stable across processes. It is no defence against somebody who wants
    a collision: whoever merges rows by it must still compare them.
    """
    bits = np.ascontiguousarray(block).view(np.uint32 if block.dtype == np.float32 else np.uint16)
    weights = np.random.default_rng(64).integers(0, 2**63, bits.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return np.asarray(np.einsum("nd,d->n", bits, weights, dtype=np.uint64, casting="unsafe"))


def row_hashes(vectors: FloatArray, rows: Rows) -> NDArray[np.uint64]:
    """:func:`hash_block` of the chosen rows, in blocks: [len(rows)]."""
    hashes = np.empty(len(rows), dtype=np.uint64)
    for start in range(0, len(rows), BLOCK):
        hashes[start : start + BLOCK] = hash_block(take(vectors, rows[start : start + BLOCK]))
    return hashes


def digest(*parts: Windows) -> str:
    """sha256 (hex) over vectors, articles and window rows of every part; a corpus used twice is read once."""
    total = hashlib.sha256()
    seen: set[int] = set()
    for part in parts:
        corpus = part.corpus
        if id(corpus) not in seen:
            seen.add(id(corpus))
            total.update(f"corpus {corpus.vectors.shape} {corpus.vectors.dtype.str}".encode())
            for _, block in blocks(corpus.vectors, BLOCK):
                total.update(np.ascontiguousarray(block).data)
            total.update(np.ascontiguousarray(corpus.article).data)
        offsets = part.starts if part.starts is not None else part.rows()
        total.update(f"windows {part.context} {offsets.shape}".encode())
        total.update(np.ascontiguousarray(offsets).data)
    return total.hexdigest()
