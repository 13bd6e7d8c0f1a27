"""One writer a run: a lock that ends with the process, and that its children do not inherit."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lvmcheck.errors import InputError

NAME = "writer.lock"
"""A file of its own: a POSIX lock ends as soon as its process closes any descriptor of the file."""
_HELD: dict[int, tuple[int, tuple[int, int]]] = {}
"""Descriptor -> the process that holds it and the file it locks: a process never finds its own locks in its way."""


def writer_is_gone(folder: Path) -> bool:
    """Whether no process holds the right to write the run any more; False where it cannot be known."""
    path = folder / NAME
    if not path.is_file() or _is_ours(path):
        return False
    with contextlib.suppress(ImportError, OSError, InputError):
        import fcntl

        with path.open("rb+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                return False
        return True
    return False


def refuse_written(folder: Path) -> None:
    """Refuse to move or continue a run that another process writes.

    Raises:
        InputError: one does.
    """
    path = folder / NAME
    if path.is_file() and not _is_ours(path) and not writer_is_gone(folder):
        raise _other(folder)


def lock_run(folder: Path) -> int:
    """Hold the right to write a run directory; returns the descriptor that keeps it (:func:`unlock`).

    Raises:
        InputError: another process holds it, or another recorder of this one.
    """
    path = folder / NAME
    if path.exists() and _is_ours(path):
        fix = "Close that recorder first, or give each a directory of its own."
        raise InputError(folder, "another recorder of this process is writing this run", fix=fix)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(fd)
            raise _other(folder) from None
        except OSError:
            pass  # a file system without locks
    _HELD[fd] = (os.getpid(), _identity(os.fstat(fd)))
    return fd


def unlock(fd: int) -> None:
    """Give up the right to write."""
    _HELD.pop(fd, None)
    os.close(fd)


def _other(folder: Path) -> InputError:
    return InputError(folder, "another process is writing this run", fix="Give each process a directory of its own.")


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return (os.getpid(), _identity(path.stat())) in _HELD.values()
    return False
