"""Arrays that lie in a file and not in memory: mapped for whoever looks at them, read without the map in bulk."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from math import prod
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError

READS = hasattr(os, "preadv")
"""Whether rows are read; where the system cannot, they come through the map."""


class MappedFile(mmap.mmap):
    """A whole file as shared memory, and the descriptor of the very file that is mapped.

    Its pages are the kernel's: they are read when they are touched and given up when memory is short.

    Attributes:
        path: for errors; the folder of a file without a name.
        fd: open as long as the map.
    """

    path: Path
    fd: int
    _stamp: tuple[int, int]

    @classmethod
    def of(cls, fd: int, path: Path) -> Self:
        """Maps the file of a descriptor, which it keeps, read-only."""
        try:
            made = cls(fd, 0, access=mmap.ACCESS_READ)
        except BaseException:
            os.close(fd)
            raise
        weakref.finalize(made, os.close, fd)
        made.path, made.fd = path, fd
        made._stamp = made._now()
        if READS and hasattr(mmap, "MADV_RANDOM"):
            made.madvise(mmap.MADV_RANDOM)  # else a page touched here brings the device's whole read-ahead, up to 8 MiB
        return made

    def _now(self) -> tuple[int, int]:
        status = os.fstat(self.fd)
        return status.st_size, status.st_mtime_ns

    def check(self) -> None:
        """Raises InputError when the file was cut, grown or written to since it was mapped."""
        if self._now() != self._stamp:
            raise self.changed()

    def changed(self) -> InputError:
        """What has become of the file, as an error."""
        was, size = self._stamp[0], self._now()[0]
        change = f"{was} bytes when it was opened, {size} now" if size != was else "written to since it was opened"
        problem = f"changed while it was in use: {change}; expected the same file from the first step to the last"
        return InputError(self.path, problem, fix="Write a new file beside it, and rename that when it is whole.")

    def array(self, dtype: np.dtype[Any], start: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """The array that begins ``start`` bytes into the file; it keeps the map alive."""
        return np.ndarray(shape, dtype, buffer=self, offset=start)


class Held(Protocol):
    """Where the rows of an array lie in one or several mapped files."""

    @property
    def row_bytes(self) -> int: ...

    def read(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """Fills ``out`` with ``rows``, one after the other."""

    def ranges(self, rows: NDArray[np.integer]) -> list[tuple[int, int, int]]:
        """Descriptor, start and length of the stretches of whole pages that hold ``rows``."""


@dataclass(frozen=True)
class MappedRows:
    """Where the rows of an array lie in a mapped file: row ``i`` takes ``row_bytes`` from ``start + i * row_bytes``."""

    file: MappedFile
    start: int
    row_bytes: int

    @classmethod
    def of(cls, array: NDArray[Any]) -> MappedRows | None:
        """Of an array [M, ...], or of whole rows of one; None where it lies in memory, or not row behind row."""
        base: object = array
        while isinstance(base, np.ndarray):
            base = base.base
        if not READS or not isinstance(base, MappedFile) or not array.size or not array.flags.c_contiguous:
            return None
        beginning = np.frombuffer(base, np.uint8, 1).ctypes.data
        return cls(base, array.ctypes.data - beginning, array.nbytes // len(array))

    def read(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """Fills ``out`` with ``rows``, one after the other; neighbours that follow each other are read at once.

        Nothing stays mapped, and a file that is cut meanwhile is an error instead of the end of the process (SIGBUS).

        Raises:
            InputError: the file has changed (:meth:`MappedFile.check`), or the disk cannot read it.
        """
        self.file.check()
        if not rows.size:
            return
        flat = rows.reshape(-1).astype(np.int64)
        begins = np.flatnonzero(np.append(True, np.diff(flat) != 1))
        offsets = self.start + flat[begins] * self.row_bytes
        read_runs(repeat(self.file), offsets, begins * self.row_bytes, out)

    def ranges(self, rows: NDArray[np.integer]) -> list[tuple[int, int, int]]:
        """Descriptor, start and length of the stretches of whole pages that hold ``rows``."""
        return [(self.file.fd, *place) for place in byte_ranges(self, rows)]


def read_runs(
    files: Iterable[MappedFile], offsets: NDArray[np.int64], places: NDArray[np.int64], out: NDArray[Any]
) -> None:
    """Fills ``out``: from byte ``places[i]`` on with what lies ``offsets[i]`` bytes into the ``i``-th of the files, up
    to where the next begins.
    """
    whole = out.data.cast("B")
    ends = np.append(places[1:], out.nbytes)
    for file, first, end, offset in zip(files, places.tolist(), ends.tolist(), offsets.tolist(), strict=False):
        while first < end:
            done = _read(file, whole[first:end], offset)
            first, offset = first + done, offset + done


def _read(file: MappedFile, out: memoryview, offset: int) -> int:
    """Fills ``out`` from byte ``offset`` on as far as the system gives at once: bytes read, at least one."""
    try:
        done = os.preadv(file.fd, [out], offset)
    except OSError as error:
        raise InputError(file.path, f"cannot be read at byte {offset}: {error.strerror}") from None
    if not done:
        raise file.changed()
    return done


def byte_ranges(held: MappedRows, rows: NDArray[np.integer], page: int = mmap.PAGESIZE) -> list[tuple[int, int]]:
    """Start and length of the stretches of whole pages that hold ``rows``, in order; no two touch."""
    if not rows.size:
        return []
    needed = np.unique(rows).astype(np.int64)
    first = (held.start + needed * held.row_bytes) // page
    last = (held.start + (needed + 1) * held.row_bytes - 1) // page
    return [(a * page, count * page) for a, count in stretches(first, last)]


def stretches(first: NDArray[np.int64], last: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First page and number of pages where ``first`` to ``last`` overlap or follow each other, in order."""
    begins = np.flatnonzero(np.append(True, first[1:] > last[:-1] + 1))
    ends = np.append(begins[1:] - 1, len(first) - 1)
    return [(a, b + 1 - a) for a, b in zip(first[begins].tolist(), last[ends].tolist(), strict=True)]


def held_by(array: Any) -> Held | None:
    """Where the rows of an array lie in mapped files; None where they are in memory."""
    return array.held if hasattr(array, "held") else MappedRows.of(array)


def map_array(path: Path, dtype: np.dtype[Any], start: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array that begins ``start`` bytes into the file at ``path``, mapped read-only.

    Raises:
        InputError: it cannot be opened, or holds fewer bytes.
    """
    try:
        file = MappedFile.of(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), path)
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be mapped: {error}") from None
    need = start + prod(shape) * dtype.itemsize
    if len(file) < need:
        raise InputError(path, f"expected at least {need} bytes, got {len(file)}: truncated")
    return file.array(dtype, start, shape)


def take(array: NDArray[Any], rows: NDArray[np.integer]) -> NDArray[Any]:
    """A copy of the chosen rows of an array [M, ...].

    Raises:
        InputError: as :meth:`MappedRows.read`.
    """
    held = held_by(array)
    if held is None:
        return np.asarray(array[rows])
    out = np.empty((*rows.shape, *array.shape[1:]), array.dtype)
    held.read(rows, out)
    return out


def blocks(array: NDArray[Any], size: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """First row and rows of each block of ``size`` rows of an array [M, ...]; a block is valid until the next.

    Raises:
        InputError: as :meth:`MappedRows.read`.
    """
    held = held_by(array)
    out = np.empty((min(size, len(array)), *array.shape[1:]), array.dtype) if held is not None else array[:0]
    for start in range(0, len(array), size):
        stop = min(start + size, len(array))
        if held is None:
            yield start, array[start:stop]
        else:
            held.read(np.arange(start, stop), out[: stop - start])
            yield start, out[: stop - start]
