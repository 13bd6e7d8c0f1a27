"""Where every record lies: several in a row (packing), or one a row in buckets of like length. Pure functions."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Slots of known length, in row order; which record of that length fills a slot is decided every epoch anew.

    Attributes:
        length, column: [S] of each slot. row_first: [R + 1], the first slot of each row, and S.
        width: positions of the widest row.
    """

    length: Ints
    column: Ints
    row_first: Ints
    width: int

    @property
    def rows(self) -> int:
        return len(self.row_first) - 1


def pack(lengths: NDArray[np.integer], capacity: int) -> Layout:
    """Rows of at most ``capacity`` positions by best fit: each record goes where least room is left over.

    Records come in an order shuffled with seed 0 from the sorted lengths, so that rows mix short and long; the layout
    therefore depends on the lengths alone, and every epoch has as many rows as the first.

    Raises:
        ValueError: a record is longer than a row, or has no position.
    """
    if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= capacity:
        raise ValueError(f"lengths must be 1 to {capacity}, got {int(lengths.min())} to {int(lengths.max())}")
    least = int(lengths.min(initial=capacity))
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (positions left, row), sorted; rows with too little for any record are dropped
    for length in np.random.default_rng(0).permutation(np.sort(lengths)).tolist():
        at = bisect_left(room, (length, -1))
        left, row = room.pop(at) if at < len(room) else (capacity, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(length)
        if left - length >= least:
            insort(room, (left - length, row))
    placed = [length for row in rows for length in row]
    columns = [column for row in rows for column in accumulate(row[:-1], initial=0)]
    return Layout(_ints(placed), _ints(columns), _ints([0, *accumulate(map(len, rows))]), capacity)


def buckets(lengths: NDArray[np.integer]) -> Layout:
    """One record a row, rows in the order of their length, so that neighbours need little padding."""
    ordered = np.sort(lengths).astype(np.int64)
    width = int(ordered[-1]) if len(ordered) else 0
    return Layout(ordered, np.zeros(len(ordered), dtype=np.int64), np.arange(len(ordered) + 1), width)


def fill(layout: Layout, lengths: NDArray[np.integer], rng: np.random.Generator | None) -> Ints:
    """The record in each slot, [S]: records of equal length in random order, or in their own without ``rng``."""
    tie = rng.random(len(lengths)) if rng is not None else np.arange(len(lengths))
    filled = np.empty(len(lengths), dtype=np.int64)
    filled[np.argsort(layout.length, kind="stable")] = np.lexsort((tie, lengths))
    return filled


def _ints(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)
