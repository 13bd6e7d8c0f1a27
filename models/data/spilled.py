"""Arrays made here that are too large for memory: in a file without a name, which ends with their process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from models.data.mmap import READS, MappedFile

SPILL = 2**30
"""Bytes from which an array is held in a file instead of in memory."""


def filled(
    parts: Iterable[NDArray[Any]], dtype: np.dtype[Any], shape: tuple[int, ...], folder: Path | None
) -> NDArray[Any]:
    """The array [M, ...] whose rows ``parts`` give one after the other.

    In memory, or, from SPILL bytes on, in a file that has no name and ends with the array, where there is a ``folder``
    with room for it.
    """
    need = prod(shape) * dtype.itemsize
    file = unnamed(folder, need) if folder is not None and need >= SPILL else None
    if folder is None or file is None:
        array, row = np.empty(shape, dtype), 0
        for part in parts:
            array[row : row + len(part)] = part
            row += len(part)
        return array
    with file:
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).data)
        file.flush()
        return MappedFile.of(os.dup(file.fileno()), folder).array(dtype, 0, shape)


def unnamed(folder: Path, need: int) -> IO[bytes] | None:
    """An empty file with room for ``need`` bytes that no folder lists; None where there is none to be had."""
    if not READS or not hasattr(os, "posix_fallocate"):
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            file = opened.enter_context(tempfile.TemporaryFile(dir=folder))
            os.posix_fallocate(file.fileno(), 0, need)
            opened.pop_all()
            return file
    except OSError:
        return None
