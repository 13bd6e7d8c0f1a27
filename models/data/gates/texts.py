"""Texts beside vectors: a .txt with one chunk a line, or JSON lines with "text", either of them gzipped."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError, nearest
from models.data.config import BESIDE_FILES
from models.data.readers.kind import folder_names, is_folder, regular_file
from models.data.readers.loaded import ROW_LIMIT

NAMES = BESIDE_FILES[:4]
LINE_LIMIT = 2**20  # bytes of one line
RATIO = 100  # a text file that unpacks to more than this many times its size is a bomb: prose reaches 5
SPARE = 64 * 2**20


@dataclass
class Texts:
    """Texts of a file: a hash of every one, and those that were asked for.

    Attributes:
        path: the file that was read.
        hashes: 64 bits of every text, [n], in the order of the lines.
        kept: row to text.
    """

    path: Path
    hashes: NDArray[np.uint64]
    kept: dict[int, str] = field(default_factory=dict)


def find_texts(path: Path) -> Path:
    """The file of texts at ``place``, or in the folder ``place`` under one of NAMES."""
    if not is_folder(path):
        return path
    names = folder_names(path)
    for name in NAMES:
        if name in names:
            return path / name
    raise InputError(path, f"folder without texts; expected {' or '.join(NAMES)}", fix=nearest(NAMES[0], names))


def texts_beside(path: Path) -> Path | None:
    """The file of texts in a folder of vectors; None where there is none."""
    names = folder_names(path) if is_folder(path) else []
    return next((path / name for name in NAMES if name in names), None)


def read_texts(place: Path, wanted: Container[int]) -> Texts:
    """Hash every text and keep those in rows ``wanted``.

    Raises:
        InputError: no such file, a line that is no text, a line or a file of impossible size.
    """
    path = find_texts(place)
    parse = _parse_json if ".jsonl" in path.name else _parse_plain
    texts = Texts(path, np.empty(0, dtype=np.uint64))
    hashes: list[int] = []
    for number, raw in enumerate(_lines(path), start=1):
        text = parse(raw, path, number)
        if len(hashes) in wanted:
            texts.kept[len(hashes)] = text
        hashes.append(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))
        if len(hashes) > ROW_LIMIT:
            raise InputError(path, f"more than {ROW_LIMIT} lines", line=number)
    texts.hashes = np.array(hashes, dtype=np.uint64)
    return texts


def _lines(path: Path) -> Iterator[bytes]:
    size = regular_file(path)
    limit, read = RATIO * size + SPARE, 0
    with _opened(path) as file:
        number = 0
        while raw := _guarded(path, lambda: file.readline(LINE_LIMIT + 1)):
            number += 1
            read += len(raw)
            if len(raw) > LINE_LIMIT:
                raise InputError(path, f"line of more than {LINE_LIMIT} bytes", line=number)
            if read > limit:
                raise InputError(path, f"{size} bytes unpack to more than {limit}: a gzip bomb", line=number)
            yield raw.rstrip(b"\r\n")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked  # type: ignore[misc]  # GzipFile reads like any binary file


def _guarded(path: Path, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(path, f"damaged or truncated gzip ({str(error)[:120]})") from None


def _parse_plain(raw: bytes, path: Path, number: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(path, "not UTF-8 text", line=number) from None


def _parse_json(raw: bytes, path: Path, number: int) -> str:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:120]
        raise InputError(path, f"not a JSON object: {reason}", line=number) from None
    if not isinstance(record, dict):
        raise InputError(path, f'expected {{"text": "..."}}, got {type(record).__name__}', line=number)
    if "text" not in record:
        raise InputError(path, "missing", line=number, key="text", fix=nearest("text", map(str, record)))
    if not isinstance(record["text"], str):
        raise InputError(path, f"expected a string, got {record['text']!r:.40}", line=number, key="text")
    return record["text"].encode("utf-8", "replace").decode()
