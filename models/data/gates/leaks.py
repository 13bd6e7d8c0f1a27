"""Which validation targets have a twin among the rows of training: by content, whatever rows and ids are called."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data.gates.rows import Scan
from models.data.gates.twins import Rows, Twins, nearest_rows
from models.data.store import Windows

LEVELS = (0.999, 0.995, 0.99, 0.98, 0.95)
"""Cosines from which a vector counts as the twin of another; nothing below the last is looked for."""
TWIN = 0.98
"""The level at which twins are told by article."""
COVERED = 0.5
"""Share of the targets of a validation article with twins in one training article from which it is that article."""
Fact = float | int | str | list[float] | list[int] | list[str]


def twin_facts(train: tuple[Windows, Scan], validation: tuple[Windows, Scan]) -> dict[str, Fact]:
    """Shares of the validation targets with a twin among the rows of training windows, at every level and bit for bit.

    Also how the twins lie at TWIN: pairs of a validation and a training article that share any, and the share of the
    targets that lie in an article of which half has twins in one training article. Nothing where there is no target
    that has a direction. The sketches of both scans must be of the same directions.
    """
    (windows, found), (held, scanned) = train, validation
    target = np.zeros(len(held.corpus), dtype=bool)
    target[held.rows()[:, -1]] = True
    target &= scanned.sound
    used = np.zeros(len(windows.corpus), dtype=bool)
    used[windows.rows().ravel()] = True
    used &= found.sound
    asked = Rows(held.corpus, scanned, np.flatnonzero(target))
    if not len(asked.rows):
        return {}
    twins = nearest_rows(asked, Rows(windows.corpus, found, np.flatnonzero(used)), LEVELS[-1])
    pairs, covered = _by_article(held, windows, twins)
    return {
        "targets": len(asked.rows),
        "targets_searched": len(twins.asked),
        "copied_share": float(twins.same.mean()),
        "twin_levels": list(LEVELS),
        "twin_shares": [float((twins.cosine >= level).mean()) for level in LEVELS],
        "twin_pairs": pairs,
        "twin_covered": covered,
    }


def _by_article(held: Windows, windows: Windows, twins: Twins) -> tuple[int, float]:
    """Pairs of articles that share twins, and the share of targets in articles that are in training as a whole."""
    ours = held.corpus.article[twins.asked].astype(np.int64)
    known = twins.cosine >= TWIN
    if not known.any():
        return 0, 0.0
    theirs = windows.corpus.article[twins.row[known]].astype(np.int64)
    pairs, count = np.unique(np.stack([ours[known], theirs], axis=1), axis=0, return_counts=True)
    articles, sizes = np.unique(ours, return_counts=True)
    size: NDArray[np.int64] = sizes[np.searchsorted(articles, pairs[:, 0])]
    copied = np.unique(pairs[count >= COVERED * size, 0])
    return len(pairs), float(sizes[np.isin(articles, copied)].sum()) / len(ours)
