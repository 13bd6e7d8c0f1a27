"""Read-ahead: while one batch is used, the kernel is told which rows of a mapped file the next batches need."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from models.data.mmap import Held
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


def announce(held: Held, rows: Rows) -> None:
    """Tells the kernel which parts of the file will be read; returns while it reads them."""
    for fd, start, length in held.ranges(rows):
        for piece in range(start, start + length, PIECE):
            with suppress(OSError):  # advice that cannot be taken; what is really wrong is found when the row is read
                os.posix_fadvise(fd, piece, min(PIECE, start + length - piece), os.POSIX_FADV_WILLNEED)
