"""Notes, in the trainer's process and its forks, which files, folders, programs and hosts it opens, lists and starts.

An audit hook of Python cannot be taken off again, and a process that is forked keeps it. Each first sight of a path is
one line in ``opened.jsonl`` of the run directory, written with one system call, so that a kill loses none.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
from collections.abc import Callable
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

from lvmcheck.launch.executed import INSTALLED, OWN

OPENED = "opened.jsonl"
MOST = 100_000
"""First sights that are noted; a run with more of them is not reused."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/dev", "/run", "/var/lib")
"""The operating system's own places."""
ABOUT_THE_MACHINE = frozenset(
    (
        *("gcc", "g++", "cc", "c++", "clang", "clang++", "ld", "nvcc", "ptxas", "objdump"),
        *("ldconfig", "uname", "lscpu", "nvidia-smi", "rocminfo", "sysctl", "git"),
    )
)
"""Programs that libraries start to look at the machine or to compile; what they print decides no number."""
FOLDER, PIPE = "a folder", "a pipe or a device"
"""What a path may lead to in place of a file."""
COMPILED = ("torchinductor_", ".triton")
"""Beginnings of folder names that hold compiled kernels."""


class Opened:
    """The hook and what it has seen."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._log = str(folder / OPENED)
        self._root = f"{root}{os.sep}"
        self._skip = beginnings(folder, OWN, *interpreter(root))
        self._system = beginnings(*map(Path, SYSTEM))
        self._seen: set[Any] = set()
        self._of: dict[str, Callable[[tuple[Any, ...]], None]] = {
            "open": self._open,
            "os.listdir": self._list,
            "os.scandir": self._list,
            "os.rename": lambda args: self._write(args[1]),
            "os.link": lambda args: self._write(args[1]),
            "os.symlink": lambda args: self._write(args[1]),
            "os.chdir": lambda _: self._seen.clear(),
            "ctypes.dlopen": lambda args: self._read(args[0] if os.sep in str(args[0]) else None),
            "import": lambda args: self._read(args[1]),
            "sqlite3.connect": lambda args: self._read(args[0] if args[0] != ":memory:" else None),
            "subprocess.Popen": lambda args: self._start(args[0] or args[1]),
            "os.posix_spawn": lambda args: self._start(args[0]),
            "os.exec": lambda args: self._start(args[0]),
            "os.system": lambda args: self._start(args[0]),
            "socket.connect": lambda args: self._connect(args[1]),
        }

    def watch(self) -> None:
        """From now on, until the process ends."""
        self._note("start", str(time.time_ns()))
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        act = self._of.get(event)
        if act is not None:
            with contextlib.suppress(BaseException):  # what is noted here must never disturb a trainer
                act(args)

    # -- events --------------------------------------------------------------------------------------------------------
    def _open(self, args: tuple[Any, ...]) -> None:
        path, _, flags = args
        if isinstance(path, int) or path == self._log:
            return
        writes = flags & WRITES
        if (path, writes) in self._seen:
            return
        self._seen.add((path, writes))
        if writes:
            both = writes & os.O_RDWR and not writes & os.O_TRUNC
            self._write(path, also_read=bool(both))
        else:
            self._read(path)

    def _read(self, path: Any) -> None:
        if path is not None and (whole := self._counts(path)):
            found = stamp(whole)
            if found[1] != FOLDER:  # opened to be synced; one that is listed is noted as such
                self._note("read", whole, *found)

    def _write(self, path: Any, *, also_read: bool = False) -> None:
        whole = self._counts(path)
        if whole and also_read and stamp(whole)[0]:  # something was there that can be read
            self._note("read", whole, *stamp(whole))
        if whole:
            self._note("write", whole)

    def _list(self, args: tuple[Any, ...]) -> None:
        path = "." if args[0] is None else args[0]
        if ("listed", path) in self._seen:
            return
        self._seen.add(("listed", path))
        importing = "importlib" in sys._getframe(2).f_code.co_filename  # looking for modules and distributions
        if not importing and not isinstance(path, int) and (whole := self._counts(path)):
            self._note("folder", whole, names_in(whole))

    def _start(self, program: Any) -> None:
        name = os.fsdecode(program if isinstance(program, str | bytes | os.PathLike) else program[0])
        if os.path.basename(name) not in ABOUT_THE_MACHINE:  # noqa: PTH119
            self._note("process", name[:200])

    def _connect(self, address: Any) -> None:
        host = str(address[0]) if isinstance(address, tuple) else ""
        if host and host not in ("localhost", "::1", "0.0.0.0") and not host.startswith("127."):
            self._note("host", host[:200])

    # -- the record ----------------------------------------------------------------------------------------------------
    def _counts(self, path: Any) -> str:
        """The absolute path of what may be an input of the run; empty for what is no concern of its key."""
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links stay as they are: pathlib is slower
        if whole.startswith(self._skip) or f"{os.sep}.git{os.sep}" in whole:
            return ""
        if not whole.startswith(self._root) and (whole.startswith(self._system) or f"{os.sep}torchinductor_" in whole):
            return ""
        if whole.endswith(".pyc"):
            with contextlib.suppress(ValueError, NotImplementedError):
                return source_from_cache(whole)
        return whole

    def _note(self, *words: Any) -> None:
        key = words[:2]
        if key in self._seen:
            return
        self._seen.add(key)
        if len(self._seen) > MOST:
            words = ("many", MOST) if len(self._seen) == MOST + 1 else ()
        if words:
            fd = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(fd, json.dumps(words).encode() + b"\n")
            finally:
                os.close(fd)


def interpreter(root: Path) -> list[Path]:
    """Where Python and what is installed lie, as far as ``root`` does not lie there too."""
    return [place for place in (*INSTALLED, Path(sys.base_prefix)) if not root.is_relative_to(place)]


def beginnings(*places: Path) -> tuple[str, ...]:
    """How the paths of what lies below begin, with links and without."""
    return tuple({f"{place}{os.sep}" for path in places for place in (path, path.resolve())})


def stamp(path: str) -> tuple[Any, Any]:
    """Size and time of change of a regular file; None and what is there instead otherwise."""
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib is slower
    except OSError:
        return None, "nothing"
    if stat.S_ISREG(found.st_mode):
        return found.st_size, found.st_mtime_ns
    return None, FOLDER if stat.S_ISDIR(found.st_mode) else PIPE


def names_in(path: str) -> str:
    """The names in a folder, without hidden ones and what Python keeps there; empty where it cannot be listed."""
    import hashlib

    try:
        names = sorted(name for name in os.listdir(path) if name[0] != "." and name != "__pycache__")  # noqa: PTH208 - quicker
    except OSError:
        return ""
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()
