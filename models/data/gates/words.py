"""Texts against vectors without an encoder: chunks that share words should have similar vectors.

Over pairs of chunks of one article, the similarity of their words is correlated with the cosine of their vectors; then
again with the texts moved by a few rows. Where texts and vectors belong together, the correlation is highest unmoved.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.gates.golden import encoded_facts
from models.data.gates.near import NEAR
from models.data.gates.rows import Mask, Scan, directed
from models.data.gates.texts import read_texts
from models.data.store import Corpus

PAIRS = 4_000
LEAST = 800  # pairs; with fewer, the correlation within a segment says nothing
LAGS = (1, 8)  # distance of the two chunks of a pair
OFFSETS = (0, -3, -2, -1, 1, 2, 3)  # rows that the texts are moved by
SEGMENTS = 8  # parts of the file looked at one by one: texts may slip from some row on
_WORD = re.compile(r"\w{3,}")
Pairs = NDArray[np.int64]


def text_facts(corpus: Corpus, found: Scan, place: Path, encoder: str) -> dict[str, float | int | str | list[float]]:
    """Number of texts, agreement of equal texts with equal vectors, of words with cosines, and of texts encoded again.

    Raises:
        InputError: texts that cannot be read, or an encoder that cannot be run.
    """
    pairs = pair_rows(corpus, found.sound)
    texts = read_texts(place, rows_of(pairs))
    facts: dict[str, float | int | str | list[float]] = {"rows": len(texts.hashes), "vectors": len(corpus)}
    if len(texts.hashes) != len(corpus):
        return facts
    equal = equal_pairs(texts.hashes, found.sound)
    if len(equal):
        facts |= {"equal_pairs": len(equal), "equal_agree": float((_cosines(corpus, equal) > NEAR).mean())}
    if len(pairs) >= LEAST:
        facts |= word_facts(corpus, pairs, texts.kept)
    if encoder and len(pairs):
        known = {row: texts.kept[row] for row in map(int, pairs[:, 0])}
        facts |= encoded_facts(encoder, corpus, known, OFFSETS)
    return facts


def equal_pairs(hashes: NDArray[np.uint64], usable: Mask) -> Pairs:
    """At most PAIRS pairs of rows [P, 2] that have the same text."""
    rows = np.flatnonzero(usable)
    order = rows[np.argsort(hashes[rows], kind="stable")]
    same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])[:PAIRS]
    return np.stack([order[same], order[same + 1]], axis=1)


def pair_rows(corpus: Corpus, usable: Mask, seed: int = 0) -> Pairs:
    """Pairs of rows [P, 2] of one article, LAGS apart, whose neighbours within OFFSETS exist; sorted by the first."""
    reach = max(OFFSETS)
    rng = np.random.default_rng(seed)
    last = len(corpus) - reach - LAGS[1]
    if last <= reach:
        return np.empty((0, 2), dtype=np.int64)
    first = np.sort(rng.integers(reach, last, 2 * PAIRS))
    second = first + rng.integers(LAGS[0], LAGS[1] + 1, len(first))
    keep = (corpus.article[first] == corpus.article[second]) & usable[first] & usable[second]
    drawn = np.unique(np.stack([first, second], axis=1)[keep], axis=0)
    return drawn[np.sort(rng.permutation(len(drawn))[:PAIRS])]


def rows_of(pairs: Pairs) -> set[int]:
    """All rows whose texts are needed for the pairs."""
    return {int(row) + offset for row in np.unique(pairs) for offset in OFFSETS}


def word_facts(corpus: Corpus, pairs: Pairs, texts: Mapping[int, str]) -> dict[str, float | int | list[float]]:
    """Correlation of word overlap and cosine, unmoved and moved, over all pairs and in each segment.

    Nothing where no two chunks share a word: such texts cannot be told from one another this way.
    """
    bags = {row: frozenset(_WORD.findall(text.lower())) for row, text in texts.items()}
    rarity = rarities(bags.values())
    cosines = np.concatenate([_cosines(corpus, part) for part in np.array_split(pairs, max(len(pairs) // 1024, 1))])
    overlaps = np.array([[similarity(bags[int(i) + k], bags[int(j) + k], rarity) for i, j in pairs] for k in OFFSETS])
    if not overlaps.any():
        return {}
    segments = [
        [correlation(overlap[part], cosines[part]) for overlap in overlaps]
        for part in np.array_split(np.arange(len(pairs)), SEGMENTS)
    ]
    margins = [found[0] - max(found[1:]) for found in segments]
    return {
        "pairs": len(pairs),
        "correlation": correlation(overlaps[0], cosines),
        "moved": max(correlation(overlap, cosines) for overlap in overlaps[1:]),
        "margins": margins,
    }


def rarities(bags: Iterable[frozenset[str]]) -> dict[str, float]:
    """Squared inverse document frequency of every word."""
    held = list(bags)
    seen = Counter(word for bag in held for word in bag)
    return {word: math.log(len(held) / count) ** 2 for word, count in seen.items()}


def similarity(a: frozenset[str], b: frozenset[str], rarity: Mapping[str, float]) -> float:
    """Cosine of two sets of words weighted by rarity; 0 where either has none."""
    shared = math.fsum(rarity[word] for word in a & b)
    lengths = math.fsum(rarity[word] for word in a) * math.fsum(rarity[word] for word in b)
    return shared / math.sqrt(lengths) if lengths > 0 else 0.0


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson; NaN where either is constant."""
    if len(a) < 2 or not a.std() or not b.std():
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _cosines(corpus: Corpus, pairs: Pairs) -> NDArray[np.float64]:
    left, right = directed(corpus.vectors[pairs[:, 0]])[0], directed(corpus.vectors[pairs[:, 1]])[0]
    cosines: NDArray[np.float64] = np.einsum("nd,nd->n", left, right).astype(np.float64)
    return cosines
