"""Rows of a JSON Lines file (plain or gzip) or of a parquet file from outside: bounded, and never unpickled."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Never, cast

from lvmcheck.errors import InputError
from models.data.readers.kind import expect, kind_of

LINE_LIMIT = 2**20  # bytes of one record
TOTAL_LIMIT = 2**30  # bytes of one file when unpacked: a gzip bomb stops here
ROW_LIMIT = 2_000_000
BLOCK = 1024

Row = dict[str, object]


def rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Line (or row) number from 1 and the object of every record.

    Raises:
        InputError: not such a file, damaged, or above a limit; a bad line is named by its number.
    """
    kind = kind_of(path)
    if kind == "parquet":
        yield from _parquet(path)
    elif kind == "gzip file":
        try:
            with gzip.open(path, "rb") as file:
                yield from _lines(path, cast(BinaryIO, file))
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(path, f"damaged or truncated gzip ({str(error)[:120]})") from None
    else:
        expect(path, "json")
        with path.open("rb") as plain:
            yield from _lines(path, plain)


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, Row]]:
    number = total = 0
    while raw := file.readline(LINE_LIMIT + 1):
        number += 1
        total += len(raw)
        if len(raw) > LINE_LIMIT:
            raise InputError(path, f"line of more than {LINE_LIMIT:,} bytes", line=number)
        if total > TOTAL_LIMIT or number > ROW_LIMIT:
            raise InputError(path, f"more than {TOTAL_LIMIT:,} bytes or {ROW_LIMIT:,} lines unpacked", line=number)
        if raw.strip():
            yield number, _object(raw, path, number)


def _object(raw: bytes, path: Path, number: int) -> Row:
    try:
        row = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:120]
        raise InputError(path, f"not a JSON object: {reason}", line=number) from None
    if not isinstance(row, dict):
        problem = f'expected {{"question": ..., "answer": ...}}, got {type(row).__name__}'
        raise InputError(path, problem, line=number, fix="One object a line, not one list of all.")
    return row


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        problem = "is a parquet file, and pyarrow is not installed"
        raise InputError(path, problem, fix='Run pip install "lvmcheck[parquet]".') from None
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            total = sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups))
            if meta.num_rows > ROW_LIMIT or total > TOTAL_LIMIT:
                problem = (
                    f"{meta.num_rows:,} rows of {total:,} bytes; expected at most {ROW_LIMIT:,} and {TOTAL_LIMIT:,}"
                )
                raise InputError(path, problem)
            for batch in file.iter_batches(BLOCK):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(path, f"damaged or truncated parquet ({reason})") from None


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON; expected finite numbers")
