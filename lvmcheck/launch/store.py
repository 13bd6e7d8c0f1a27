"""A run directory on its way through a store that ``fsspec`` reaches (``--lvm-store``): a folder, a bucket, a server.

One side sends, the other receives. Files that only grow are sent in parts, as they grow; others whole, when they
change. ``index.json`` is written last: it names what belongs together, so that nobody sees a record without its
checkpoint, or a completion record without its events.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from lvmcheck.errors import InputError, excerpt
from lvmcheck.run import directory as rundir

INDEX = "index.json"
GROWING = (rundir.EVENTS, rundir.OUTPUT, "opened.jsonl")
LAST = (rundir.DONE, rundir.FAILURE, "left.json")
"""What says that a run is over: true only once all the rest is there."""
FLAG = "--lvm-store"
OBJECTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"}
"""Stores without folders."""
MOST = 64 << 20
"""Bytes of a part."""


def open_store(url: str) -> tuple[Any, str]:
    """The file system and the path of a URL, once it was seen that it can be written.

    Raises:
        InputError: it cannot, or a package for it is not installed.
    """
    fsspec = import_module("fsspec.core")  # torch brings it
    try:
        system, root = fsspec.url_to_fs(url)
        put(system, f"{root}/.lvmcheck", b"")
        system.rm_file(f"{root}/.lvmcheck")
    except Exception as problem:  # whatever the file system behind it says
        raise refused(url, problem) from None
    return system, str(root)


def refused(url: str, problem: BaseException) -> InputError:
    """The error for a store that does not do what it is asked."""
    what = excerpt(f"{type(problem).__name__}: {problem}", 300)
    return InputError(f"{FLAG} {url}", f"cannot be used: {what}", fix="What was trained is kept.")


def put(system: Any, path: str, content: bytes | Path) -> None:
    """Write a file, in a folder that is made where the store has folders."""
    protocols = {system.protocol} if isinstance(system.protocol, str) else {*system.protocol}
    if not protocols & OBJECTS:
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
    if isinstance(content, bytes):
        system.pipe_file(path, content)
    else:
        system.put_file(str(content), path)


class Sender:
    """Sends a folder."""

    def __init__(self, system: Any, root: str, folder: Path) -> None:
        self._system, self._root, self._folder = system, root, folder
        self._stamps: dict[str, tuple[int, int]] = {}
        self._sent: dict[str, int] = {}  # file -> how often it was sent
        self._grown: dict[str, int] = {}  # file that grows -> bytes sent
        self._last: dict[str, Any] = {}

    def know(self) -> None:
        """What is there came from the other side."""
        for name, path, stamp in self._files():
            if name in GROWING:
                self._grown[name] = path.stat().st_size
            else:
                self._stamps[name] = stamp

    def send(self, only: tuple[str, ...] = (), but: tuple[str, ...] = ()) -> None:
        """Send what is new, and then the index.

        Args:
            only: names of files; all where none is given.
            but: names of files that are not sent.
        """
        ending = [name for name in LAST if (self._folder / name).exists()]
        sizes = {name: self._size(name) for name in GROWING if name not in but and (not only or name in only)}
        present = set()
        for name, path, stamp in self._files():
            present.add(name)
            wanted = name not in but and (name in only if only else name not in LAST or name in ending)
            if wanted and name not in GROWING and self._stamps.get(name) != stamp:
                put(self._system, f"{self._root}/{name}", path)
                self._stamps[name] = stamp
                self._sent[name] = self._sent.get(name, 0) + 1
        for name, size in sizes.items():
            self._send_parts(name, size)
        if not only:
            self._sent = {name: often for name, often in self._sent.items() if name in present}
        index = {"files": self._sent, "grown": self._grown}
        if index != self._last:
            put(self._system, f"{self._root}/{INDEX}", json.dumps(index).encode())
            self._last = json.loads(json.dumps(index))

    def _send_parts(self, name: str, size: int) -> None:
        start = self._grown.get(name, 0)
        while start < size:
            with (self._folder / name).open("rb") as file:
                file.seek(start)
                block = file.read(min(MOST, size - start))
            put(self._system, f"{self._root}/{name}.{start}", block)
            start += len(block)
            self._grown[name] = start

    def _size(self, name: str) -> int:
        path = self._folder / name
        return path.stat().st_size if path.is_file() else 0

    def _files(self) -> Iterator[tuple[str, Path, tuple[int, int]]]:
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder)
            if any(part.startswith(".") for part in name.parts) or path.is_symlink() or not path.is_file():
                continue
            found = path.stat()
            yield name.as_posix(), path, (found.st_size, found.st_mtime_ns)


class Receiver:
    """Receives a folder into one that may hold the beginning of it."""

    def __init__(self, system: Any, root: str, folder: Path) -> None:
        self._system, self._root, self._folder = system, root, folder
        self._got: dict[str, int] = {}

    def receive(self) -> None:
        """Write what is new."""
        self._system.invalidate_cache()
        try:
            index = json.loads(self._system.cat_file(f"{self._root}/{INDEX}"))
        except (FileNotFoundError, json.JSONDecodeError):
            return  # nothing yet, or being written
        new = {name: often for name, often in index["files"].items() if self._got.get(name) != often and inside(name)}
        for name in sorted(new, key=lambda name: name in LAST):
            if name in LAST:
                self._grow(index["grown"])
            self._write(name)
            self._got[name] = new[name]
        self._grow(index["grown"])
        for name in self._got.keys() - index["files"].keys():
            (self._folder / name).unlink(missing_ok=True)  # an older checkpoint, which its trainer has removed
            with contextlib.suppress(OSError):
                (self._folder / name).parent.rmdir()
            del self._got[name]

    def _write(self, name: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        self._system.get_file(f"{self._root}/{name}", str(temporary))
        temporary.replace(path)

    def _grow(self, sizes: dict[str, int]) -> None:
        for name, size in sizes.items():
            path = self._folder / name
            have = path.stat().st_size if path.exists() else 0
            while name in GROWING and have < size:
                with path.open("ab") as file:
                    have += file.write(self._system.cat_file(f"{self._root}/{name}.{have}"))


def inside(name: str) -> bool:
    """Whether a name from the store stays below the folder."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and name not in GROWING
