"""Read-ahead: while one batch is used, the kernel is told which rows of a mapped file the next batches need."""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from models.data.mmap import MappedRows
from models.data.store import Rows, Windows

Batch = NDArray[np.int64] | slice
"""Which windows."""
PREFETCH_BYTES = 16 * 2**20
"""Bytes of batches that are on their way while one is used; never fewer than LEAST batches."""
LEAST = 2
PIECE = 128 * 2**10
"""Bytes of one announcement: the kernel reads no more of one than the device's own read-ahead, which is at least this
by default."""


def prefetch(windows: Windows, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The same ``batches`` in the same order; where the windows lie in a file, each is announced before it is due.

    A thread makes the announcements, because the kernel takes about 10 us to start reading a window that it does not
    have, and a window of AMN trains in 120 us.
    """
    held = windows.corpus.mapped
    if held is None or not hasattr(os, "posix_fadvise"):
        yield from batches
        return
    coming: deque[tuple[Batch, Future[None]]] = deque()
    underway = 0
    with ThreadPoolExecutor(1, "lvmcheck read-ahead") as thread:
        try:
            for batch in batches:
                rows = windows.rows(batch)
                coming.append((batch, thread.submit(announce, held, rows)))
                underway = max(LEAST, PREFETCH_BYTES // max(rows.size * held.row_bytes, 1))
                if len(coming) > underway:
                    yield due(coming)
            while coming:
                yield due(coming)
        finally:
            thread.shutdown(cancel_futures=True)


def due(coming: deque[tuple[Batch, Future[None]]]) -> Batch:
    """The first of the announced batches."""
    batch, announced = coming.popleft()
    announced.result()
    return batch


def announce(held: MappedRows, rows: Rows) -> None:
    """Tells the kernel which parts of the file will be read; returns while it reads them."""
    for start, length in byte_ranges(held, rows):
        for piece in range(start, start + length, PIECE):
            with suppress(OSError):  # advice that cannot be taken; what is really wrong is found when the row is read
                os.posix_fadvise(held.file.fd, piece, min(PIECE, start + length - piece), os.POSIX_FADV_WILLNEED)


def byte_ranges(held: MappedRows, rows: Rows, page: int = mmap.PAGESIZE) -> list[tuple[int, int]]:
    """Start and length of the stretches of whole pages that hold ``rows``, in order; no two touch."""
    if not rows.size:
        return []
    needed = np.unique(rows).astype(np.int64)
    first = (held.start + needed * held.row_bytes) // page
    last = (held.start + (needed + 1) * held.row_bytes - 1) // page
    begins = np.flatnonzero(np.append(True, first[1:] > last[:-1] + 1))
    ends = np.append(begins[1:] - 1, len(needed) - 1)
    return [(int(a) * page, int(b + 1 - a) * page) for a, b in zip(first[begins], last[ends], strict=True)]
