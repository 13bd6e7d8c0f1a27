"""Notes, in the trainer's process, what its own code looks at without opening it, and what decides beside files.

Python has no audit event for ``os.stat`` and its like, which is how code asks whether there is a file at all, nor for
the number of cores and for variables. Functions of ``os`` are wrapped in the trainer's process, and do what they did.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import stat
import sys
import sysconfig
from collections.abc import Callable, Collection, Mapping
from types import FrameType
from typing import Any

from lvmcheck.launch import beyond
from lvmcheck.launch.beyond import MODE, MODE_NAMES, asks_for, mode_of
from lvmcheck.launch.environment import EVERY, of_all
from lvmcheck.launch.executed import INSTALLED, OWN

STDLIB, SITES = (
    tuple({f"{sysconfig.get_path(kind)}{os.sep}" for kind in kinds})
    for kinds in (("stdlib", "platstdlib"), ("purelib", "platlib"))
)
HOMES = tuple(f"{home}{os.sep}" for home in INSTALLED)
OURS = f"{OWN}{os.sep}"
PACKAGED = tuple(f"{os.sep}{name}-packages{os.sep}" for name in ("site", "dist"))
"""What is in the path of every installed package, also of those that an environment has from another one."""
LOOKED, SIZED, TIMED, VARIABLE, CORES = "looked", "sized", "timed", "variable", "cores"
"""Kinds of notes."""
NOTHING, FOLDER, FILE, LINK, SIZE, CONTENT = "nothing", "a folder", "a file", "a link to ", " bytes", "content"
"""What was seen: nothing, a folder, a file, where a link leads, the size of a file, or its content (where a package
looked, which may open it unseen).
"""
TIME, TIMES = " ns of change", "names and times of change:"
"""What was seen where the trainer's own code asks when a file was changed, or lists a folder and asks that."""
ASKS_WHEN = frozenset(("getmtime", "getctime", "st_mtime", "st_mtime_ns", "st_ctime", "st_ctime_ns"))
"""Names in code that asks for a time of change."""
NOT_SET = "not set"
WHETHER = frozenset(("exists", "isfile", "isdir", "is_file", "is_dir", "lexists"))
"""Functions of the standard library that ask whether something is there, and not how large it is."""


def of_own_code(depth: int) -> bool | None:
    """Whether code that is not installed called a function of the standard library; None where installed code did.

    False where lvmcheck itself did, or a thread of the standard library.

    Args:
        depth: frames to be passed over.
    """
    frame = _asking(depth + 1)
    if frame is None:
        return False
    file = frame.f_code.co_filename
    packaged = any(mark in file for mark in PACKAGED)
    return not file.startswith(OURS) and (None if packaged or file.startswith(HOMES) else True)


def own_code_asks() -> bool:
    """The same for what lvmcheck's own functions are called by, however many they are."""
    depth = 1
    while sys._getframe(depth).f_code.co_filename.startswith(OURS):
        depth += 1
    return bool(of_own_code(depth + 1))


def asks(depth: int, names: Collection[str] = ASKS_WHEN) -> bool:
    """Whether the code that called a function of the standard library asks for such, times of change by default."""
    return asks_for(_asking(depth + 1), names)


def _asking(depth: int) -> FrameType | None:
    """The nearest frame that is none of the standard library's own."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        file = frame.f_code.co_filename
        if any(mark in file for mark in PACKAGED) or not file.startswith(("<frozen ", *STDLIB)):
            return frame
        frame = frame.f_back
    return None


class Looks:
    """What is looked at.

    Args:
        note: writes a line: kind, what, details.
        counts: the absolute path of what may be an input; empty for others.
    """

    def __init__(self, note: Callable[..., None], counts: Callable[[Any], str]) -> None:
        self._note, self._counts = note, counts
        self._seen: set[Any] = set()
        self._stat, self._link = os.stat, os.readlink

    def watch(self) -> None:
        """From now on, in this process and its forks."""
        ways: dict[str, Callable[[Any, Any], None]] = {
            "stat": self._at,
            "access": functools.partial(self._at, whether=True),
            "lstat": self._at_link,
            "readlink": self._at_link,
            "cpu_count": functools.partial(self._cores, "cpu_count"),
            "sched_getaffinity": functools.partial(self._cores, "sched_getaffinity"),
        }
        for name, see in ways.items():
            if hasattr(os, name):
                _wrap(name, see)
        _tell_of_shared_memory()

    def forget(self) -> None:
        """The working directory is another one: relative paths lead elsewhere."""
        self._seen.clear()

    def _at(self, path: Any, _found: Any, whether: bool = False) -> None:
        """A path was looked at through links."""
        name, above = sys._getframe(2).f_code.co_name, sys._getframe(3).f_code
        whether = whether or name in WHETHER or (name == "stat" and above.co_name in WHETHER)
        key = path, whether, id(above)
        if key in self._seen:
            return
        self._seen.add(key)
        own = of_own_code(3)
        if own is False or not (whole := self._counts(path)):
            return
        try:
            there = self._stat(path)
        except OSError:
            there = None
        if there is None or not stat.S_ISREG(there.st_mode):
            if own and (there is None or stat.S_ISDIR(there.st_mode)):
                self._note(LOOKED, whole, NOTHING if there is None else FOLDER)
        elif own:
            self._note(*(LOOKED, whole, FILE) if whether else (SIZED, whole, f"{there.st_size}{SIZE}"))
            if not whether and asks(3, MODE_NAMES):
                self._note(MODE, whole, mode_of(whole))
            if not whether and asks(3):
                self._note(TIMED, whole, f"{there.st_mtime_ns}{TIME}")
        elif f"{os.sep}." not in whole:  # no cache of a package
            self._note(LOOKED, whole, CONTENT)

    def _at_link(self, path: Any, found: Any) -> None:
        """A path was looked at that may be a link: where it leads, or that nothing is there."""
        key = ("link", path)
        if key in self._seen:
            return
        self._seen.add(key)
        if (found is None or not _no_link(found)) and of_own_code(3) and (whole := self._counts(path)):
            try:
                self._note(LOOKED, whole, f"{LINK}{os.fsdecode(self._link(path))}")
            except OSError:
                self._note(LOOKED, whole, NOTHING)

    def _cores(self, name: str, _of: Any, found: Any) -> None:
        if of_own_code(3):
            self._note(CORES, name, str(found if name == "cpu_count" else len(found)))

    def variable(self, name: str, value: str | None) -> None:
        """A variable was asked for that is no part of the key."""
        if of_own_code(3):
            self._note(VARIABLE, name, digest_of(value))


def _no_link(found: Any) -> bool:
    return isinstance(found, os.stat_result) and not stat.S_ISLNK(found.st_mode)


def _wrap(name: str, see: Callable[[Any, Any], None]) -> None:
    plain = getattr(os, name)

    @functools.wraps(plain)
    def looked(*args: Any, **more: Any) -> Any:
        found = None
        try:
            found = plain(*args, **more)
            return found
        finally:
            if more.get("dir_fd") is None:
                with contextlib.suppress(BaseException):  # what is noted here must never disturb a trainer
                    see(args[0] if args else None, found)

    looked.__module__ = "os"  # by which it is pickled
    for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if plain in able:
            able.add(looked)
    setattr(os, name, looked)


def _tell_of_shared_memory() -> None:
    """A segment of shared memory that is opened by its name is a file that is read: Python itself does not say so."""
    try:
        memory: Any = importlib.import_module("_posixshmem")
    except ImportError:
        return
    plain = memory.shm_open

    @functools.wraps(plain)
    def opened(path: str, flags: int, *args: Any, **more: Any) -> int:
        made = flags & os.O_CREAT
        sys.audit("open", f"/dev/shm/{path.lstrip('/')}", None, flags if made else os.O_RDONLY)
        found: int = plain(path, flags, *args, **more)
        return found

    memory.shm_open = opened


def times_in(folder: str) -> str:
    """When each file of a folder was changed."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.stat(follow_symlinks=False).st_mtime_ns) for entry in entries)
    except OSError:
        return NOTHING
    return f"{TIMES}{digest_of(repr([(name, when) for name, when in found if name[0] != '.']))}"


def digest_of(value: str | None) -> str:
    return NOT_SET if value is None else hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


# -- before a run is reused --------------------------------------------------------------------------------------------
def glance(path: str, then: str, content: Callable[[str], str]) -> str:
    """What is seen of a path now, in the words in which it was noted.

    Args:
        content: the digest of a file.
    """
    if (seen := beyond.now(path, then)) is not None:
        return seen
    try:
        if then.startswith(LINK):
            return f"{LINK}{os.readlink(path)}"  # noqa: PTH115
        found = os.stat(path)  # noqa: PTH116 - pathlib is slower
    except OSError:
        return "no link" if then.startswith(LINK) else NOTHING
    if then.startswith(TIMES):
        return times_in(path)
    if stat.S_ISDIR(found.st_mode):
        return FOLDER
    if then == FILE:
        return FILE
    if then.endswith(TIME):
        return f"{found.st_mtime_ns}{TIME}"
    return content(path) if then.startswith(CONTENT) else f"{found.st_size}{SIZE}"


def cores(name: str) -> str:
    """How many there are now, as a trainer would be told."""
    return str(os.cpu_count() if name == "cpu_count" else len(os.sched_getaffinity(0)))


def other_surroundings(
    variables: Mapping[str, str], numbers: Mapping[str, str], environment: Mapping[str, str]
) -> str | None:
    """Which variable, or number of cores, that a trainer asked for is another one now."""
    for name, then in variables.items():
        if name == EVERY and digest_of(of_all(environment)) != then:
            return "an environment variable such as HOME is another one, and it asks for all of them"
        if name != EVERY and digest_of(environment.get(name)) != then:
            return f"the environment variable {name}, which it asks for, is another one"
    for name, then in numbers.items():
        if (now := cores(name)) != then:
            return f"os.{name}, which it asks for, says {then} then, {now} now"
    return None
