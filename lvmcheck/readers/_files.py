"""Files from outside, read with bounds: a look at the first bytes, whole texts, JSON without duplicated keys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.run.regular_file import open_regular

MAX_TEXT = 256 << 20
"""Bytes of a text file that are read at all."""
SMALLER = "Keep every n-th row, or record with lvmcheck.record."
MAX_ENTRIES = 10_000
"""Entries of a folder that are looked at."""


def head(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a regular file; nothing where there is none."""
    try:
        with open_regular(path) as file:
            return file.read(size)
    except OSError:
        return b""


def inside(folder: Path, pattern: str) -> list[Path]:
    """Entries of a folder that match a pattern, in order of their names; none where it is no folder."""
    try:
        return sorted(islice(folder.glob(pattern), MAX_ENTRIES)) if folder.is_dir() else []
    except OSError:
        return []


def text(path: Path) -> str:
    """A whole UTF-8 text (a byte order mark is dropped).

    Raises:
        InputError: too large, not UTF-8, or not to be read.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_TEXT:
                raise InputError(path, f"expected at most {MAX_TEXT:,} bytes, got {size:,}", fix=SMALLER)
            raw = file.read(MAX_TEXT)
        return raw.decode("utf-8-sig")
    except OSError as problem:
        raise InputError(path, f"cannot be read: {problem.strerror or problem}") from None
    except UnicodeDecodeError as problem:
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InputError(path, "expected UTF-8, got UTF-16 text", fix="Convert it: iconv -t UTF-8.") from None
        line = raw[: problem.start].count(b"\n") + 1
        raise InputError(path, f"expected UTF-8, got byte 0x{raw[problem.start]:02x}", line=line) from None


def json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        InputError: not JSON, not an object, or an object with a key that stands twice.
    """
    body = parse_json(text(path), path)
    if not isinstance(body, dict):
        raise InputError(path, f"expected a JSON object, got {shown(body)}")
    return body


def parse_json(said: str, where: Path, line: int | None = None) -> Any:
    """A JSON value; duplicated keys are an error, NaN and Infinity are numbers."""
    try:
        return json.loads(said, object_pairs_hook=_unique)
    except json.JSONDecodeError as problem:
        number = problem.lineno if line is None else line
        raise InputError(where, f"is not JSON ({problem.msg}, column {problem.colno})", line=number) from None
    except RecursionError:
        raise InputError(where, "expected JSON, got one that is nested too deeply", line=line) from None
    except ValueError as problem:
        raise InputError(where, f"is not usable JSON ({str(problem)[:160]})", line=line) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for key, value in pairs:
        if key in body:
            raise ValueError(f"key {key[:60]!r} stands twice in one object")
        body[key] = value
    return body


def lines(said: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their 1-based numbers."""
    return ((number, line) for number, line in enumerate(said.splitlines(), start=1) if line.strip())


def shown(value: object) -> str:
    """A value as an error shows it."""
    said = repr(value)
    return said if len(said) <= 60 else said[:57] + "..."
