"""Order of the chunks: similarity by lag, and adjacent pairs that a reference corpus has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data import baselines
from models.data import mmap as mapped
from models.data.baselines import blocks, sample
from models.data.gates.rows import Scan
from models.data.hashing import BLOCK, hash_block
from models.data.store import Corpus, Windows

SAMPLE = 4_000  # windows a profile is measured on, drawn at random: standard error of a mean cosine about .003
LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Cosines above which adjacent pairs are counted."""


def order_facts(windows: Windows) -> dict[str, float | int | list[float]]:
    """Lag profile, mean cosine of random pairs and mean of context on at most SAMPLE usable windows."""
    chosen = sample(windows, SAMPLE, seed=1)
    if len(chosen) < 2:
        return {}
    return {
        "lag_windows": len(chosen),
        "lag_profile": baselines.lag_profile(chosen),
        "random_cosine": random_cosine(chosen),
        "mean_of_context": baselines.score(chosen, baselines.mean_of_context),
    }


def random_cosine(windows: Windows) -> float:
    """Mean cosine of two different targets: (|sum|^2 - n) / (n (n - 1)) for unit vectors."""
    total, squares = np.zeros(windows.dim), 0.0
    for _, target in blocks(windows):
        lengths = np.linalg.norm(target, axis=1, keepdims=True)
        unit = target / np.where(lengths > 0, lengths, 1.0)
        total += unit.sum(axis=0, dtype=np.float64)
        squares += float((unit * unit).sum(dtype=np.float64))
    count = len(windows)
    return (float(total @ total) - squares) / (count * (count - 1))


def reference_facts(corpus: Corpus, found: Scan, reference: Corpus, known: Scan) -> dict[str, float | int | list[int]]:
    """Adjacent pairs of the reference and of the corpus by cosine, and how many of the reference's the corpus keeps.

    A pair is kept where the same two vectors (to float16) follow each other in the corpus. Pairs that cross articles
    of the reference do not count; the ids of the corpus are not used, because a broken corpus has lost them.
    """
    inside = reference.article[1:] == reference.article[:-1]
    theirs, ours = half_hashes(reference, known), half_hashes(corpus, found)
    pairs = _pair_codes(theirs)[inside]
    return {
        "rows": len(reference),
        "rows_found": int(np.isin(theirs, ours).sum()),
        "adjacent": len(pairs),
        "adjacent_kept": int(np.isin(pairs, _pair_codes(ours)).sum()),
        "pairs": [int((known.adjacent[inside] >= level).sum()) for level in LEVELS],
        "corpus_pairs": [int((found.adjacent >= level).sum()) for level in LEVELS],
    }


def half_hashes(corpus: Corpus, found: Scan) -> NDArray[np.uint64]:
    """Row hashes that do not depend on whether a corpus is stored in float32 or float16, [M]."""
    if corpus.vectors.dtype == np.float16:
        return found.hashes
    hashes = np.empty(len(corpus), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for start, block in mapped.blocks(corpus.vectors, BLOCK):
            hashes[start : start + BLOCK] = hash_block(block.astype(np.float16))
    return hashes


def _pair_codes(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number for each pair of neighbours, in order, [M - 1]."""
    return hashes[:-1] * np.uint64(0x9E3779B97F4A7C15) + (hashes[1:] ^ (hashes[1:] >> np.uint64(31)))
