"""Files of a run directory or from outside: regular ones of bounded size, never a FIFO, a device or a bomb."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

MAX_JSON = 16 << 20
"""Bytes of a JSON file of a run directory that are read at all."""

KERNEL = ("/proc/", "/sys/")
"""Where what looks like an empty file is the kernel, and may make a reader wait for ever (``/proc/kmsg``)."""


def open_regular(path: Path) -> BinaryIO:
    """A regular file to read; a FIFO or a device is refused at once, never waited for.

    Raises:
        OSError: it is none, or cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | os.O_CLOEXEC)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or (found.st_size == 0 and os.path.realpath(path).startswith(KERNEL)):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(fd, "rb")


def small_file(path: Path) -> bytes:
    """The content of a regular file of bounded size.

    Raises:
        OSError: it is none, is too large, or cannot be read.
    """
    with open_regular(path) as file:
        raw = file.read(MAX_JSON + 1)
    if len(raw) > MAX_JSON:
        raise OSError(errno.EFBIG, "file too large", str(path))
    return raw


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file of a run directory, or None when it is not there or not whole yet."""
    try:
        body = json.loads(small_file(path))
    except (OSError, ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
