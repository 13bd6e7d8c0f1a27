"""How a file is known again: by its size and times, by its content, and a folder by the names in it."""

from __future__ import annotations

import hashlib
import os
import stat as modes
from pathlib import Path
from typing import Any

from lvmcheck.launch.looks import CONTENT, FOLDER
from lvmcheck.run.regular_file import open_regular

WHOLE = 256 << 20
SAMPLES, BLOCK = 64, 64 << 10
SMALL = 1 << 20
PIPE = "a pipe or a device"
"""What a path may lead to in place of a file, beside a folder."""


def stamp(path: str) -> tuple[Any, Any]:
    """Size and time of change of a regular file; None and what is there instead otherwise."""
    size, changed, _ = stamped(path)
    return size, changed


def stamped(path: str) -> tuple[Any, Any, Any]:
    """The same, and when it was touched by anything: a time that nobody can set."""
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib is slower
    except OSError:
        return None, "nothing", None
    if modes.S_ISREG(found.st_mode):
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return None, FOLDER if modes.S_ISDIR(found.st_mode) else PIPE, None


def names_in(path: str) -> str:
    """The names in a folder, without hidden ones and what Python keeps there; empty where it cannot be listed."""
    try:
        names = sorted(name for name in os.listdir(path) if name[0] != "." and name != "__pycache__")  # noqa: PTH208 - quicker
    except OSError:
        return ""
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def content(path: Path, whole: int = WHOLE) -> str:
    """sha256 of a file, or of samples of a large one; empty for what cannot be read."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            found = hashlib.sha256()
            if size <= whole:
                for _ in range(0, size + 1, SMALL):  # a file that grows is not followed
                    found.update(file.read(SMALL))
                return found.hexdigest()
            for number in range(SAMPLES):
                file.seek((size - BLOCK) * number // (SAMPLES - 1))
                found.update(file.read(BLOCK))
            return f"samples:{found.hexdigest()}"
    except OSError:
        return ""


def digested(path: str) -> str:
    """The content of a file as a look at it is noted."""
    return f"{CONTENT}:{content(Path(path))}"
