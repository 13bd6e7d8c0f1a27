"""Text that a trainer executes by itself: in which of the files that it has opened it stands.

For a run that a gate will judge: what code that is not installed compiles (``exec``, ``eval``, ``compile``, ``runpy``,
a pickle, ``marshal``) is looked up in what the process has read so far, at that very moment.
"""

from __future__ import annotations

import ast
import glob
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

from lvmcheck.launch.executed import blob_hash

LEAST, MOST = 8, 500
"""Bytes of a text that is looked up; texts of one process that are."""
MOST_FILES = 1000
"""Files that one word of a command may stand for."""
LARGEST = 4 << 20
"""Bytes of a file in which a text is looked for."""
PASSING = ("/runpy.py", "/ast.py", "/codeop.py", "/code.py", "/timeit.py")
"""Modules of the standard library that compile what others hand to them."""
STARTING = (
    *("subprocess.py", "os.py", "<frozen os>", "socket.py"),
    *("http/client.py", "urllib/request.py", "ctypes/__init__.py"),
)
"""Modules of the standard library that start and open what others ask them to."""
STARTED_FOR_OTHERS = ("multiprocessing/util.py", "lvmcheck/launch/beyond.py")
"""What starts the programs that no other module does."""
READERS = frozenset(
    ("open", "open64", "openat", "openat64", "fopen", "fopen64", "mmap", "mmap64", "syscall", "popen", "system")
)
"""Functions of the C library that read what no audit hook sees."""
WORD = re.compile(r"[^\s'\"()\[\]{}<>|;&,=]+")
CONTENT = frozenset(("show", "cat-file", "archive", "checkout", "restore", "stash", "worktree", "apply", "grep"))
"""Commands of git whose output, or whose traces, may be source of another commit."""


class Texts:
    """What one process has read, and the texts that it compiles.

    Args:
        installed: beginnings of the paths of code that is not the trainer's own.
    """

    def __init__(self, installed: tuple[str, ...]) -> None:
        self._installed = installed
        self._read: dict[str, None] = {}
        self._known: set[int] = set()

    def read(self, path: str) -> None:
        self._read[path] = None

    def compiled(self, source: Any, file: Any, caller: FrameType) -> bytes:
        """A text that the trainer's own code compiles, the first time; empty for any other."""
        if not isinstance(source, str | bytes) or len(self._known) >= MOST or not self._own(caller, file):
            return b""
        text = (source.encode("utf-8", "surrogateescape") if isinstance(source, str) else source).strip()
        if len(text) < LEAST or (key := hash(text)) in self._known:
            return b""
        self._known.add(key)
        return b"" if is_literal(source) else text

    def _own(self, caller: FrameType, file: Any) -> bool:
        name = caller.f_code.co_filename
        if "importlib" in name:
            return isinstance(file, str) and not file.startswith(self._installed)
        own: FrameType | None = caller
        while own is not None and own.f_code.co_filename.endswith((*PASSING, ">")):
            if own.f_code.co_name == "literal_eval":
                return False
            own = own.f_back
        return own is not None and not own.f_code.co_filename.startswith(self._installed)

    def own_start(self, caller: FrameType | None) -> bool:
        """Whether code that is not installed starts a program."""
        while caller is not None and caller.f_code.co_filename.endswith((*STARTING, *STARTED_FOR_OTHERS)):
            caller = caller.f_back
        return caller is not None and not caller.f_code.co_filename.startswith(self._installed)

    def place(self, caller: FrameType) -> str:
        """Where the trainer's own code compiles a text."""
        own: FrameType | None = caller
        while own is not None and own.f_code.co_filename.startswith((*self._installed, "<")):
            own = own.f_back
        return f"{os.path.relpath(own.f_code.co_filename)}:{own.f_lineno}" if own is not None else "a thread"

    def made_of_source(self, text: bytes) -> bool:
        """Whether every line of a text stands in a source file that was read."""
        sources = [content(path) for path in list(self._read) if path.endswith(".py")]
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return all(any(line in source for source in sources) for line in lines)

    def where(self, text: bytes) -> Iterator[tuple[str, str]]:
        """The files, with their hashes, and the environment variables in which a text stands."""
        for path in list(self._read):
            if text in content(path):
                yield path, blob_hash(Path(path))
        for name, value in list(os.environ.items()):
            if text in value.encode("utf-8", "surrogateescape"):
                yield f"environment variable {name}", ""


def content(path: str) -> bytes:
    """The content of a small regular file."""
    try:
        return Path(path).read_bytes() if os.path.isfile(path) and os.path.getsize(path) <= LARGEST else b""  # noqa: PTH113, PTH202
    except OSError:
        return b""


def is_literal(source: str | bytes) -> bool:
    """Whether it is a number, a text, a list and the like, which does nothing."""
    try:
        ast.literal_eval(source if isinstance(source, str) else source.decode())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def named_files(words: Any, folder: Any = None) -> Iterator[str]:
    """Files that the words of a command name, as far as they are there; the modules that Python is to run, too."""
    listed = [words] if isinstance(words, str | bytes | os.PathLike) else list(words or ())
    before = ""
    for part in WORD.findall(" ".join(map(os.fsdecode, listed))):
        places = [part, f"{part.replace('.', os.sep)}.py"] if before == "-m" else [part]
        before = part
        for place in places:
            whole = os.path.join(os.fsdecode(folder or ""), place)  # noqa: PTH118
            yield from islice(meant(whole), MOST_FILES)


def meant(place: str) -> Iterator[str]:
    """The file of a path, those below a folder but for hidden folders, and those that a pattern of a shell fits."""
    if glob.has_magic(place):
        for found in glob.iglob(place, recursive=True):  # noqa: PTH207 - relative paths stay as they are
            yield from (it for it in meant(found) if not glob.has_magic(found))
    elif os.path.isfile(place):  # noqa: PTH113
        yield place
    elif os.path.isdir(place):  # noqa: PTH112
        for folder, below, names in os.walk(place):
            below[:] = sorted(name for name in below if name[0] != "." and name != "__pycache__")
            yield from (os.path.join(folder, name) for name in sorted(names))  # noqa: PTH118


def of_git(words: Any) -> str:
    """A command of git that shows content of other commits; empty for any other."""
    listed = words.split() if isinstance(words, str | bytes) else list(words or ())
    parts: Sequence[str] = WORD.findall(" ".join(map(os.fsdecode, listed)))
    for place, part in enumerate(parts):
        if os.path.basename(part) == "git" and CONTENT & {*parts[place + 1 :]}:  # noqa: PTH119
            return " ".join(parts[place:])[:120]
    return ""


def in_open_folders(path: str) -> Iterator[str]:
    """Where a relative path leads from a folder that this process holds open (``dir_fd``)."""
    try:
        numbers = os.listdir("/proc/self/fd")  # noqa: PTH208
    except OSError:
        return
    for number in numbers:
        try:
            folder = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
        except OSError:
            continue
        if folder.startswith("/") and os.path.isdir(folder):  # noqa: PTH112
            whole = os.path.join(folder, path)  # noqa: PTH118
            if os.path.isfile(whole):  # noqa: PTH113
                yield whole
