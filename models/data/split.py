"""Train and validation windows: by article (sound), in blocks with a gap (no article ids), at random (leaks)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.data.hashing import row_hashes
from models.data.store import Windows


@dataclass(frozen=True)
class Split:
    """Two disjoint sets of windows, and what can be said about how disjoint they really are."""

    train: Windows
    validation: Windows
    notes: tuple[str, ...]


def by_article(windows: Windows, fraction: float, seed: int) -> Split:
    """Whole articles, drawn by ``seed``, are held out until they hold ``fraction`` of the windows.

    Raises:
        ValueError: fewer than two articles have windows.
    """
    article = windows.articles()
    names, counts = np.unique(article, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"a split by article needs at least 2 articles with windows, found {len(names)}")
    order = np.random.default_rng(seed).permutation(len(names))
    reached = np.cumsum(counts[order])
    held = int(np.searchsorted(reached, fraction * len(windows))) + 1
    chosen = names[order[: min(held, len(names) - 1)]]
    mask = np.isin(article, chosen)
    note = (
        f"split by article: {len(chosen)} of {len(names)} articles held out, "
        f"{mask.sum() / len(windows):.1%} of the windows"
    )
    return Split(windows.select(~mask), windows.select(mask), (note,))


def at_random(windows: Windows, fraction: float, seed: int) -> Split:
    """Windows drawn one by one. Neighbours overlap, so it leaks, and the note says how much."""
    order = np.random.default_rng(seed).permutation(len(windows))
    held = min(max(round(fraction * len(windows)), 1), len(windows) - 1)
    mask = np.zeros(len(windows), dtype=bool)
    mask[order[:held]] = True
    train, validation = windows.select(~mask), windows.select(mask)
    note = f"random split leaks: {leak(train, validation):.1%} of the validation targets occur in training windows"
    return Split(train, validation, (note,))


def in_blocks(windows: Windows, fraction: float, seed: int, blocks: int = 10) -> Split:
    """``blocks`` contiguous pieces of the file are held out, with a gap of one window on either side.

    For data without article ids: the gap removes every window that shares a row with a held-out one when windows are
    consecutive, but an article that spans the edge is still on both sides.
    """
    total = len(windows)
    size = max(round(fraction * total / blocks), 1)
    gap = windows.context + 1
    starts = (np.arange(blocks) + np.random.default_rng(seed).uniform(0.2, 0.8, blocks)) * (total / blocks)
    held, near = np.zeros(total, dtype=bool), np.zeros(total, dtype=bool)
    for start in np.minimum(starts.astype(np.int64), total - size):
        held[start : start + size] = True
        near[max(start - gap, 0) : start + size + gap] = True
    train, validation = windows.select(~near), windows.select(held)
    note = (
        f"split in {blocks} blocks with a gap of {gap} windows, {held.sum() / total:.1%} of the windows held out; an "
        f"article may lie on both sides of an edge, and {leak(train, validation):.1%} of the validation targets occur "
        "in training windows"
    )
    return Split(train, validation, (note,))


def leak(train: Windows, validation: Windows) -> float:
    """Share of the validation targets whose chunk occurs anywhere inside a training window."""
    if not len(validation):
        return float("nan")
    if train.corpus is validation.corpus:
        seen = np.zeros(len(train.corpus), dtype=bool)
        seen[train.rows().ravel()] = True
        return float(seen[validation.rows()[:, -1]].mean())
    known = row_hashes(train.corpus.vectors, np.unique(train.rows()))
    return float(np.isin(row_hashes(validation.corpus.vectors, validation.rows()[:, -1]), known).mean())
