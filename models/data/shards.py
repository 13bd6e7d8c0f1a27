"""Rows that lie in many files, one file behind the other, and are used as one array [M, D] that is never joined."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.mmap import MappedRows, read_runs, stretches

FAR = 44
"""Bits of a page's number within its file."""


@dataclass(frozen=True, eq=False)
class Shards:
    """An array [M, D] in parts: a slice, a row, rows or a mask of it is a copy in memory.

    Args:
        parts: at least one; mapped, of equal width and type.
    """

    parts: tuple[NDArray[Any], ...]
    ndim = 2

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Row behind the last one of each part."""
        return np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), int(self.parts[0].shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @cached_property
    def held(self) -> ShardedRows | None:
        """Where the rows lie in their files; None where one lies in memory, or the system reads through maps alone."""
        held = [MappedRows.of(part) for part in self.parts]
        known = [one for one in held if one is not None]
        return ShardedRows(tuple(known), self.ends) if len(known) == len(held) else None

    def __getitem__(self, key: Any) -> NDArray[Any]:
        rows = self._rows(key)
        flat = np.atleast_1d(rows).reshape(-1)
        out = np.empty((len(flat), self.shape[1]), self.dtype)
        which, first = places(self.ends, flat)
        for part in np.unique(which):
            chosen = which == part
            out[chosen] = self.parts[part][flat[chosen] - first[chosen]]
        return out.reshape(*np.shape(rows), self.shape[1])

    def _rows(self, key: Any) -> NDArray[np.integer]:
        """Row numbers, counted from the beginning."""
        if isinstance(key, slice):
            return np.arange(*key.indices(len(self)))
        rows = np.asarray(key)
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        if rows.size and (rows.min() < -len(self) or rows.max() >= len(self)):
            raise IndexError(f"rows run past the {len(self)} of {len(self.parts)} files")
        return np.where(rows < 0, rows + len(self), rows)

    def copy(self) -> NDArray[Any]:
        """All of it, in memory."""
        return np.concatenate(self.parts)


def places(ends: NDArray[np.int64], rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The part of each row, and the first row of that part."""
    which = np.searchsorted(ends, rows, side="right")
    return which, np.append(0, ends[:-1])[which]


@dataclass(frozen=True, eq=False)
class ShardedRows:
    """Where the rows of :class:`Shards` lie in mapped files."""

    parts: tuple[MappedRows, ...]
    ends: NDArray[np.int64]

    @property
    def row_bytes(self) -> int:
        return self.parts[0].row_bytes

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Byte of each file at which its first row begins."""
        return np.array([part.start for part in self.parts])

    def read(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """As :meth:`models.data.mmap.MappedRows.read`.

        Raises:
            InputError: a file has changed, or the disk cannot read it.
        """
        flat = rows.reshape(-1).astype(np.int64)
        if not len(flat):
            return
        which, first = places(self.ends, flat)
        for part in np.unique(which).tolist():
            self.parts[part].file.check()
        begins = np.flatnonzero(np.append(True, (np.diff(flat) != 1) | (np.diff(which) != 0)))
        files = [self.parts[part].file for part in which[begins].tolist()]
        offsets = self.starts[which[begins]] + (flat - first)[begins] * self.row_bytes
        read_runs(files, offsets, begins * self.row_bytes, out)

    def ranges(self, rows: NDArray[np.integer], page: int = mmap.PAGESIZE) -> list[tuple[int, int, int]]:
        """Descriptor, start and length of the stretches of whole pages that hold ``rows``."""
        if not rows.size:
            return []
        needed = np.unique(rows).astype(np.int64)
        which, first = places(self.ends, needed)
        begin = self.starts[which] + (needed - first) * self.row_bytes
        apart = which << FAR  # pages of different files never touch
        found = stretches(begin // page + apart, (begin + self.row_bytes - 1) // page + apart)
        fds = [part.file.fd for part in self.parts]
        return [(fds[a >> FAR], (a & ((1 << FAR) - 1)) * page, count * page) for a, count in found]
