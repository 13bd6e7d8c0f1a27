"""Notes, in the trainer's process and its forks, which files, folders, programs and hosts it opens, lists and starts.

An audit hook of Python cannot be taken off again, and a process that is forked keeps it. Each first sight of a path is
one line in ``opened.jsonl`` of the run directory, written with one system call, so that a kill loses none.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lvmcheck.launch import beyond
from lvmcheck.launch.executed import INSTALLED, OWN, blob_hash
from lvmcheck.launch.hosts import far_host, near_server
from lvmcheck.launch.looks import FOLDER, SITES, TIMED, Looks, asks, of_own_code, own_code_asks, times_in
from lvmcheck.launch.sought import Sought
from lvmcheck.launch.spawned import follow_spawned
from lvmcheck.launch.stamps import names_in, stamp, stamped
from lvmcheck.launch.texts import READERS, Texts, in_open_folders, named_files, of_git

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
DATA = ("/dev/shm", "/usr/share", "/usr/local/share")
"""Places below those of the system in which data lie."""
CODE = (".py", ".pyi", ".pyc", ".so")
"""Ends of what a package is compared by its version and stamps for (:mod:`lvmcheck.launch.packages`)."""
SHARED = ("/etc", "/run", "/var/lib")
"""Places of the system in which somebody may keep text: no input of a run's key, and yet no text to be executed."""


class Opened:
    """The hook and what it has seen.

    Args:
        gated: whether a gate will judge the run: then text that it compiles is looked up in what it has opened.
    """

    def __init__(self, folder: Path, root: Path, *, gated: bool = False) -> None:
        self._log = str(folder / OPENED)
        self._root = f"{root}{os.sep}"
        self._skip = beginnings(folder, OWN, *interpreter(root))
        self._system = beginnings(*map(Path, SYSTEM))
        self._shared = beginnings(*map(Path, SHARED))
        self._data = beginnings(*map(Path, DATA))
        self.looks = Looks(self._note, self._counts)
        self.sought = Sought((*self._skip, *self._system))
        self._texts = Texts(self._skip) if gated else None
        self._seen: set[Any] = set()
        self._of: dict[str, Callable[[tuple[Any, ...]], None]] = {
            "open": self._open,
            "os.listdir": self._list,
            "os.scandir": self._list,
            "os.rename": lambda args: self._write(args[1], of=args[0]),
            "os.link": lambda args: self._write(args[1], of=args[0]),
            "os.symlink": lambda args: self._write(args[1], of=os.path.join(os.path.dirname(args[1]), args[0])),  # noqa: PTH118, PTH120
            "os.utime": lambda args: self._write(args[0], keeps=True),
            "os.chdir": lambda _: self._forget(),
            "ctypes.dlopen": lambda args: self._read(args[0] if os.sep in str(args[0]) else None),
            "import": lambda args: self._read(args[1]),
            "sqlite3.connect": lambda args: self._read(database(args[0])),
            "os.getxattr": lambda args: self._attributes(args[0]),
            "os.listxattr": lambda args: self._attributes(args[0]),
            "subprocess.Popen": lambda args: self._start(args[0] or args[1], args[1], args[2]),
            "os.posix_spawn": lambda args: self._start(args[0], args[1]),
            "os.exec": lambda args: self._start(args[0], args[1]),
            "os.system": lambda args: self._start(args[0], args[0]),
            "socket.connect": lambda args: self._connect(args[1]),
            "socket.bind": lambda _: self._seen.add("serves") if of_own_code(3) else None,
            "compile": lambda args: self._text(args[0], args[1]),
            "marshal.loads": lambda args: self._text(args[0], None),
            "ctypes.dlsym": lambda args: self._look_up(args[1]),
        }

    @classmethod
    def of_texts(cls, folder: str, root: str) -> Opened:
        """The hook of a process that a run which is judged by a gate has spawned."""
        return cls(Path(folder), Path(root), gated=True)

    def watch(self) -> None:
        """From now on, until the process ends."""
        self._note("start", str(time.time_ns()))
        sys.addaudithook(self._hook)
        self.looks.watch()
        self.sought.watch()
        beyond.follow_attached(self._attached)
        beyond.follow_programs()
        beyond.follow_locale(self.looks.variable)
        if self._texts is not None:
            follow_spawned(self._log, self._root)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        act = self._of.get(event)
        if act is not None:
            with contextlib.suppress(BaseException):  # what is noted here must never disturb a trainer
                act(args)

    def _forget(self) -> None:
        """The working directory is another one: relative paths lead elsewhere."""
        self._seen.clear()
        self.looks.forget()

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
            self._write(path, reads=bool(writes & os.O_RDWR), keeps=not writes & os.O_TRUNC)
        else:
            self._read(path)
            if os.fsdecode(path).endswith(".pyc") and (whole := self._counts(path)):
                self._executed(whole)

    def _read(self, path: Any) -> None:
        if path is None or not (whole := self._counts(path)):
            return
        found = stamped(whole)
        if found[1] == "nothing" and not os.path.isabs(os.fsdecode(path)):  # noqa: PTH117
            for place in in_open_folders(os.fsdecode(path)):
                self._read(place)
        if found[1] != FOLDER:  # opened to be synced; one that is listed is noted as such
            self._note("read", whole, *found)
            self._keep(whole)

    def _write(self, path: Any, *, of: Any = None, reads: bool = False, keeps: bool = False) -> None:
        """Note a file that is written.

        Args:
            of: what it is renamed from or links to.
            reads, keeps: whether what is there is read, or stays there, too.
        """
        whole = self._counts(path)
        there = bool(keeps and whole and stamp(whole)[0] and ("write", whole) not in self._seen)
        if there and reads:
            self._note("read", whole, *stamp(whole))
        if of is not None and (source := self._counts(of)) and ("write", source) not in self._seen and stamp(source)[0]:
            self._note("read", source, *stamp(source))
        if whole:
            self._note("longer" if there else "write", whole)

    def _list(self, args: tuple[Any, ...]) -> None:
        path = beyond.in_place("." if args[0] is None else args[0])
        if ("listed", path) in self._seen:
            return
        self._seen.add(("listed", path))
        importing = "importlib" in sys._getframe(2).f_code.co_filename  # looking for modules and distributions
        if not importing and (whole := self._counts(path)):
            own = of_own_code(3) or False
            self._seen.add(("listed", whole))  # which is listed here next
            self._note("folder", whole, names_in(whole), own)
            if own and asks(3):
                self._note(TIMED, whole, times_in(whole))
            if own and asks(3, beyond.SIZE_NAMES):
                self._note(beyond.SIZES, whole, beyond.sizes_in(whole))

    def _attributes(self, path: Any) -> None:
        if of_own_code(4) and (whole := self._counts(beyond.in_place(path))):
            self._note(beyond.ATTRIBUTES, whole, beyond.attributes(whole))

    def _attached(self, name: str | None) -> None:
        """A data base is attached; its name is only known once the statement runs where it is none here."""
        self._read(database(name)) if name is not None else self._note("process", "ATTACH of SQLite")

    def _start(self, program: Any, words: Any, folder: Any = None) -> None:
        name = os.fsdecode(program if isinstance(program, str | bytes | os.PathLike) else program[0])
        if os.path.basename(name) not in ABOUT_THE_MACHINE:  # noqa: PTH119
            self._note("process", name[:200])
        if self._texts is not None and self._texts.own_start(sys._getframe(3)):
            for place in named_files(words, folder):
                self._read(place)
            if content := of_git(words):
                self._note("beside", f".git: {content}")

    def _connect(self, address: Any) -> None:
        if host := far_host(address) or (near_server(address) if of_own_code(4) and "serves" not in self._seen else ""):
            self._note("host", host)
        if not far_host(address) and self._texts is not None and self._texts.own_start(sys._getframe(3)):
            self._note("beside", f"another process of this machine at {address}"[:200])

    def _text(self, source: Any, file: Any) -> None:
        if self._texts is None or not (text := self._texts.compiled(source, file, sys._getframe(3))):
            return
        found = list(self._texts.where(text))
        for place, blob in found:
            self._note("text", place, blob)
        if not found and not self._texts.made_of_source(text):
            self._note("beside", f"text that {self._texts.place(sys._getframe(3))} executes")

    def _look_up(self, name: Any) -> None:
        if self._texts is not None and name in READERS and self._texts.own_start(sys._getframe(3)):
            self._note("beside", f"{name} of the C library")

    def _executed(self, file: str) -> None:
        if self._texts is not None:
            self._note("text", file, blob_hash(Path(file)))

    def _keep(self, whole: str) -> None:
        if self._texts is not None:
            self._texts.read(whole)

    # -- the record ----------------------------------------------------------------------------------------------------
    def _counts(self, path: Any) -> str:
        """The absolute path of what may be an input of the run; empty for what is no concern of its key."""
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links stay as they are: pathlib is slower
        if whole.startswith("/proc/"):
            whole = os.path.realpath(whole)  # such as /proc/self/cwd
        if whole.startswith(self._skip):
            return whole if whole.startswith(SITES) and is_data(whole) else ""
        if f"{os.sep}.git{os.sep}" in whole:
            self._aside(whole)
            return ""
        if not whole.startswith((self._root, *self._data)) and (
            whole.startswith(self._system) or f"{os.sep}torchinductor_" in whole
        ):
            self._aside(whole if whole.startswith(self._shared) else "")
            return ""
        if whole.endswith(".pyc"):
            with contextlib.suppress(ValueError, NotImplementedError):
                return source_from_cache(whole)
        return whole

    def _aside(self, whole: str) -> None:
        """What is no input of the key, and may hold text that is executed."""
        if whole and self._texts is not None and stamp(whole)[0]:
            self._note("asked" if own_code_asks() else "aside", whole)
            self._keep(whole)

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


def database(name: Any) -> Any:
    """The file of a data base of SQLite, which may be named by a URI; None for one in memory."""
    text = os.fsdecode(name)
    if text.startswith("file:"):
        text = unquote(urlsplit(text).path)
    return None if text in ("", ":memory:") else text


def is_data(path: str) -> bool:
    """Whether a file of an installed package is neither code nor says what is installed."""
    return not path.endswith(CODE) and f".dist-info{os.sep}" not in path and f".egg-info{os.sep}" not in path


def interpreter(root: Path) -> list[Path]:
    """Where Python and what is installed lie, as far as ``root`` does not lie there too."""
    return [place for place in (*INSTALLED, Path(sys.base_prefix)) if not root.is_relative_to(place)]


def beginnings(*places: Path) -> tuple[str, ...]:
    """How the paths of what lies below begin, with links and without."""
    return tuple({f"{place}{os.sep}" for path in places for place in (path, path.resolve())})
