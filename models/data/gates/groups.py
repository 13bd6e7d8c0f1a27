"""Articles and windows: how the rows are grouped, and whether windows respect it."""

from __future__ import annotations

import numpy as np

from models.data.store import NO_ARTICLE, Windows

OVERSIZED = 20  # times the median of the articles that have windows: stubs of one chunk say nothing about the others
AT_LEAST = 200  # chunks; below this an article is never oversized, however short the others are


def group_facts(windows: Windows) -> dict[str, float | int | str]:
    """Number of articles, rows without one, the largest article, articles of impossible size or torn into pieces.

    Only a corpus in reading order can have torn articles; rows of ready-made windows are in the order of the windows.
    """
    corpus = windows.corpus
    ids = corpus.article[corpus.article != NO_ARTICLE]
    names, sizes = np.unique(ids, return_counts=True)
    first, _ = corpus.runs()
    pieces = corpus.article[first]
    long = sizes[sizes > windows.context]
    median = float(np.median(long)) if len(long) else 0.0
    oversized = sizes[sizes > max(OVERSIZED * median, AT_LEAST)]
    return {
        "articles": len(names),
        "null_rows": len(corpus) - len(ids),
        "largest_article": int(sizes.max(initial=0)),
        "median_article": median,
        "oversized_articles": len(oversized),
        "oversized_rows": int(oversized.sum()),
        "torn_articles": int((pieces != NO_ARTICLE).sum()) - len(names) if windows.starts is not None else 0,
    }


def window_facts(windows: Windows, block: int = 65_536) -> dict[str, float | int | str]:
    """Windows against the sum over articles of max(0, n - context), and those that cross or have no article."""
    if windows.starts is not None:
        _, length = windows.corpus.runs()
    else:
        _, length = np.unique(windows.corpus.article, return_counts=True)
    crossing = unplaced = 0
    for start in range(0, len(windows), block):
        articles = windows.corpus.article[windows.rows(slice(start, start + block))]
        crossing += int((articles != articles[:, :1]).any(axis=1).sum())
        unplaced += int((articles == NO_ARTICLE).any(axis=1).sum())
    return {
        "windows": len(windows),
        "windows_inside": int(np.maximum(length - windows.context, 0).sum()),
        "windows_crossing": crossing,
        "windows_unplaced": unplaced,
    }
