"""Files that appear whole or not at all: written beside, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from lvmcheck.errors import InputError

_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file and flushes it to the disk; an existing one would be torn by a crash, so give a fresh name."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes renames inside ``folder`` durable; without effect on systems that cannot open folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def publish_file(path: Path, content: bytes) -> None:
    """``content`` at ``path``: a reader sees the old file or the new one, never a part.

    Raises:
        InputError: the disk is full or the folder cannot be written; the old file is untouched.
    """
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        write_durably(temporary, content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(path, error, len(content)) from None
    sync_folder(path.parent)


def write_error(path: Path, error: OSError, needed: int) -> InputError:
    """What to tell when writing ``needed`` bytes towards ``path`` failed with ``error``."""
    free = shutil.disk_usage(path.parent if path.parent.exists() else path.anchor).free
    if error.errno in _NO_SPACE:
        problem = f"expected room for {needed:,} bytes, got {free:,} free ({error.strerror or error})"
        return InputError(path, problem, fix="The previous one is untouched. Free space or choose another directory.")
    return InputError(path, f"cannot be written: {error.strerror or error}", fix="The previous one is untouched.")
