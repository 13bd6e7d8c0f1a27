"""One writer a run: a lock that ends with the process, and that its children do not inherit."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lvmcheck.errors import InputError

NAME = "writer.lock"
"""A file of its own: a POSIX lock ends as soon as its process closes any descriptor of the file."""


def writer_is_gone(folder: Path) -> bool:
    """Whether no process holds the right to write the run any more; False where it cannot be known."""
    path = folder / NAME
    if not path.is_file():
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


def lock_run(folder: Path) -> int:
    """Hold the right to write a run directory; returns the descriptor that keeps it.

    Raises:
        InputError: another process holds it.
    """
    fd = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(fd)
            raise InputError(
                folder, "another process is writing this run", fix="Give each process a directory of its own."
            ) from None
        except OSError:
            pass  # a file system without locks
    return fd
