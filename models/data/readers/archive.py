"""A .npz archive read member by member, in blocks: structure first, sizes second, bytes last, nothing unpickled."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError, nearest
from models.data.readers.header import Header, read_header
from models.data.readers.kind import expect, regular_file

MEMBERS = 64
RATIO = 200  # a member that unpacks to more than this many times its size is a bomb: float vectors reach 20
SMALL = 16 * 2**20  # a member up to this size may compress as well as it likes
INDEX_LIMIT = 4 * 2**30  # bytes of an integer array loaded whole
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}\.npy")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    struct.error,
    NotImplementedError,
    RuntimeError,
)


class Archive:
    """Arrays of a .npz by name. Use as a context manager.

    Raises:
        InputError: on opening, for anything but a plain zip of .npy members with believable sizes; on reading, for
            members that are truncated or fail their checksum.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = regular_file(path)
        expect(path, "zip")
        with self._guard(None):
            self._zip = zipfile.ZipFile(path)
        try:
            self._members = {info.filename[:-4]: info for info in self._checked()}
            self._headers: dict[str, Header] = {}
        except InputError:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._zip.close()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._members)

    def find(self, names: Sequence[str], meaning: str) -> str:
        """The first of ``names`` that exists; the InputError lists what does, with the nearest to any of them."""
        for name in names:
            if name in self._members:
                return name
        held = ", ".join(sorted(self._members)) or "nothing"
        wanted = " or ".join(repr(name) for name in names)
        fixes = [nearest(name, self._members) for name in names]
        fix = next((fix for fix in fixes if fix.startswith("Did you mean")), fixes[0])
        raise InputError(self.path, f"no array {wanted} ({meaning}); it holds {held}", fix=fix)

    def header(self, key: str) -> Header:
        """What the array says it is, checked against the size the archive declares for it."""
        if key not in self._headers:
            info = self._members[key]
            with self._guard(key), self._zip.open(info) as stream:
                header = read_header(stream, self.path, key)
            header.require_size(self.path, key, info.file_size)
            self._headers[key] = header
        return self._headers[key]

    def objects(self) -> tuple[str, ...]:
        """Arrays of Python objects or records: never read."""
        return tuple(key for key in self._members if self.header(key).dtype is None)

    def blocks(self, key: str, rows: int) -> Iterator[NDArray[np.generic]]:
        """The array's rows in blocks of at most ``rows``; the checksum is verified with the last one."""
        header = self.header(key)
        assert header.dtype is not None
        row_bytes = header.nbytes // max(header.shape[0], 1)
        with self._guard(key), self._zip.open(self._members[key]) as stream:
            _read(stream, header.start)
            for start in range(0, header.shape[0], rows):
                count = min(rows, header.shape[0] - start)
                block = np.frombuffer(_read(stream, count * row_bytes), header.dtype)
                yield block.reshape(count, *header.shape[1:])
            if stream.read(1):
                raise EOFError("bytes after the array")

    def load(self, key: str) -> NDArray[np.generic]:
        """A whole array of at most a few gigabytes (article ids, window starts)."""
        header = self.header(key)
        if header.nbytes > INDEX_LIMIT:
            raise InputError(self.path, f"{header.nbytes} bytes; expected at most {INDEX_LIMIT}", key=key)
        parts = list(self.blocks(key, 1_000_000))
        return np.concatenate(parts) if parts else np.empty(header.shape, header.dtype)

    def _checked(self) -> list[zipfile.ZipInfo]:
        members = self._zip.infolist()
        if len(members) > MEMBERS:
            raise InputError(self.path, f"{len(members)} members; expected at most {MEMBERS}")
        names = [info.filename for info in members]
        for info in members:
            name = info.filename[:80]
            if not _NAME.fullmatch(info.filename):
                raise InputError(self.path, f"member {name!r} is not an array; expected names like 'contexts.npy'")
            if names.count(info.filename) > 1:
                raise InputError(self.path, f"member {name!r} occurs {names.count(info.filename)} times")
            if info.flag_bits & 1:
                raise InputError(self.path, f"member {name!r} is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(self.path, f"member {name!r} uses compression method {info.compress_type}")
            if info.file_size > max(SMALL, RATIO * info.compress_size):
                problem = f"member {name!r} declares {info.file_size} bytes in {info.compress_size} packed: a zip bomb"
                raise InputError(self.path, f"{problem}; the limit is {RATIO} to 1")
        if sum(info.compress_size for info in members) > self._size:
            raise InputError(self.path, f"members claim more bytes than the file's {self._size}: entries overlap")
        return members

    @contextmanager
    def _guard(self, key: str | None) -> Iterator[None]:
        """Whatever zipfile or zlib raise on a damaged file becomes one InputError."""
        try:
            yield
        except InputError:
            raise
        except _BROKEN as error:
            raise InputError(
                self.path, f"damaged or truncated npz ({str(error)[:120]})", key=key, fix="Copy or make the file again."
            ) from None


def _read(stream: IO[bytes], size: int) -> bytearray:
    """Exactly ``size`` bytes."""
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        part = stream.read(min(size - done, 2**24))
        if not part:
            raise EOFError(f"{size - done} bytes are missing")
        view[done : done + len(part)] = part
        done += len(part)
    return data
