"""What a file really is, from its first bytes: a wrong file is named, not decoded."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lvmcheck.errors import InputError, nearest

_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x93NUMPY", "npy"),
    (b"PAR1", "parquet"),
    (b"version https://git-lfs", "git-lfs pointer"),
    (b"\x1f\x8b", "gzip file"),
    (b"\x89HDF", "HDF5 file"),
    (b"\x80\x02", "pickle"),
    (b"\x80\x03", "pickle"),
    (b"\x80\x04", "pickle"),
    (b"\x80\x05", "pickle"),
)


def is_folder(path: Path) -> bool:
    """Whether it is a folder; False where it cannot even be looked at."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def folder_names(path: Path) -> tuple[str, ...]:
    """Names in a folder, at most a thousand, sorted; an InputError where it may not be listed."""
    try:
        return tuple(sorted(item.name for item, _ in zip(path.iterdir(), range(1000), strict=False)))
    except OSError as error:
        raise InputError(path, f"cannot be listed: {_reason(error)}") from None


def regular_file(path: Path) -> int:
    """Size of a regular file that may be read.

    Raises:
        InputError: missing, no permission, or something that is not a file (a FIFO would block for ever).
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(path, "not found", fix=_near(path)) from None
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read: {_reason(error)}") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(path, "is not a regular file; expected a file of vectors")
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        raise InputError(path, f"cannot be read: {_reason(error)}") from None
    return status.st_size


def kind_of(path: Path) -> str:
    """One of "zip", "npy", "parquet", "json", or a name for what it is instead, such as "git-lfs pointer"."""
    if regular_file(path) == 0:
        return "empty file"
    with path.open("rb") as file:
        head = file.read(512)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "HTML page"
    if text.startswith((b"{", b"[")):
        return "json"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The cut at 512 bytes may fall inside a character.
        return "text file" if error.start > len(head) - 4 and b"\0" not in head else "unknown binary file"
    return "unknown binary file" if b"\0" in head else "text file"


def expect(path: Path, expected: str) -> None:
    """Raise the InputError that names what the file is instead of ``wanted``."""
    found = kind_of(path)
    if found == expected:
        return
    fix = {
        "git-lfs pointer": "Run git lfs pull to fetch the real file.",
        "HTML page": "A download probably saved an error page: fetch the file again.",
        "pickle": "Pickled data are never read: save plain arrays with numpy.savez.",
    }.get(found)
    raise InputError(path, f"expected {_article(expected)}, got {_article(found)}", fix=fix)


def _article(name: str) -> str:
    shown = {"zip": "npz (zip) archive", "npy": "npy array", "json": "JSON", "parquet": "parquet file"}.get(name, name)
    if name == "json":
        return shown
    return f"{'an' if shown[0] in 'aeiounH' else 'a'} {shown}"


def _near(path: Path) -> str | None:
    if not is_folder(path.parent):
        return f"The folder {path.parent} does not exist."
    return nearest(path.name, folder_names(path.parent))


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
