"""What decides beside the content of files and the names in folders: attributes, modes and sizes, and ways to read that
no audit event of Python tells: a data base that SQLite attaches, a program that multiprocessing starts, the locale.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Collection, Iterator
from types import CodeType, FrameType
from typing import Any

ATTRIBUTES, SIZES, MODE = "attributes", "sizes", "mode"
"""Kinds of notes, and how what was seen begins."""
BEYOND = (ATTRIBUTES, SIZES, MODE)
PLAIN = "user."
"""Beginning of attributes that people set; the others are the system's."""
NONE = f"{ATTRIBUTES}:none"
ATTACH = 24
"""What SQLite calls the statement ``ATTACH`` where it asks whether it may."""
LOCALES = ("LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_TIME", "LC_NUMERIC", "LC_MONETARY", "LC_MESSAGES", "LANG")
SIZE_NAMES, MODE_NAMES = frozenset(("st_size",)), frozenset(("st_mode",))


# -- what there is -----------------------------------------------------------------------------------------------------
def attributes(path: Any) -> str:
    """One digest of the attributes of a file."""
    try:
        names = sorted(name for name in os.listxattr(path) if name.startswith(PLAIN))
        found = [(name, os.getxattr(path, name)) for name in names]
    except (OSError, AttributeError):  # no such file, a file system or a system without attributes
        return NONE
    return f"{ATTRIBUTES}:{_digest(found)}" if found else NONE


def sizes_in(folder: str) -> str:
    """One digest of the sizes of the files in a folder, but for hidden ones."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((one.name, one.stat().st_size) for one in entries if one.name[0] != "." and one.is_file())
    except OSError:
        return f"{SIZES}:nothing"
    return f"{SIZES}:{_digest(found)}"


def files_in(folder: str) -> Iterator[str]:
    """The files in a folder, but for hidden ones."""
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entry.path for entry in entries if entry.name[0] != "." and entry.is_file())
    except OSError:
        return


def mode_of(path: str) -> str:
    try:
        return f"{MODE}:{os.stat(path).st_mode:o}"  # noqa: PTH116 - as the others here
    except OSError:
        return f"{MODE}:nothing"


def now(path: str, then: str) -> str | None:
    """What is seen of a path, in the words in which it was noted; None for notes of another kind."""
    ways: dict[str, Callable[[str], str]] = {ATTRIBUTES: attributes, SIZES: sizes_in, MODE: mode_of}
    way = ways.get(then.partition(":")[0])
    return way(path) if way is not None else None


def _digest(found: object) -> str:
    return hashlib.sha256(repr(found).encode("utf-8", "surrogateescape")).hexdigest()


def in_place(path: Any) -> Any:
    """The path that is meant, where a folder or a file is named by the number of an open one."""
    return os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else path  # noqa: PTH115


def asks_for(frame: FrameType | None, names: Collection[str]) -> bool:
    """Whether the code of a frame, or a lambda in it, names one of these."""
    codes = () if frame is None else (frame.f_code, *frame.f_code.co_consts)
    return any(isinstance(code, CodeType) and not {*names}.isdisjoint(code.co_names) for code in codes)


# -- what no audit event tells -----------------------------------------------------------------------------------------
def follow_attached(attached: Callable[[str | None], None]) -> None:
    """From now on tell of each data base that a connection of SQLite attaches: by its name, where that is known."""
    try:
        module: Any = importlib.import_module("_sqlite3")  # of which sqlite3 takes what it offers
    except ImportError:
        return
    plain = module.connect

    def may(action: int, name: str | None, *_: Any) -> int:
        if action == ATTACH:
            with contextlib.suppress(BaseException):  # what is noted here must never disturb a trainer
                attached(name)
        return 0

    @functools.wraps(plain)
    def connect(*args: Any, **more: Any) -> Any:
        connection = plain(*args, **more)
        with contextlib.suppress(Exception):  # a factory may make something else
            connection.set_authorizer(may)
        return connection

    for each in (module, *(sys.modules[name] for name in ("sqlite3.dbapi2", "sqlite3") if name in sys.modules)):
        each.connect = connect


def follow_programs() -> None:
    """From now on raise the audit event of :func:`os.posix_spawn` for programs that are started without any."""
    try:
        starter: Any = importlib.import_module("_posixsubprocess")
    except ImportError:
        return
    plain = starter.fork_exec

    @functools.wraps(plain)
    def fork_exec(words: Any, programs: Any, *more: Any) -> Any:
        if not any(b"multiprocessing" in os.fsencode(word) for word in words):  # Python's own helpers
            sys.audit("os.posix_spawn", programs[0], list(words), None)
        return plain(words, programs, *more)

    starter.fork_exec = fork_exec  # that of subprocess stays: it has an event of its own


def follow_locale(asked: Callable[[str, str | None], object]) -> None:
    """From now on tell of the variables that decide where the locale of the user is asked for."""
    import locale

    plain = locale.setlocale

    @functools.wraps(plain)
    def setlocale(category: int, value: Any = None) -> str:
        for name in LOCALES if value == "" else ():
            asked(name, os.environ.get(name))
        return plain(category, value)

    vars(locale)["setlocale"] = setlocale
