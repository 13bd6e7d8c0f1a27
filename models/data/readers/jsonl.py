"""JSON Lines: ``{"vector": [...], "article": 7}`` a line, in reading order."""

from __future__ import annotations

import json
from pathlib import Path
from types import NoneType
from typing import Never

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError, nearest
from models.data.readers.loaded import DIM_LIMIT, Loaded, narrow
from models.data.readers.table import Table

LINE_LIMIT = 2**20  # bytes; 16,384 dimensions with 24 characters each stay well below
BLOCK = 1024


def read_jsonl(path: Path, context: int, *, strict: bool = True) -> Loaded:
    """The windows of a JSONL file; article ids are integers, strings or null, other keys are ignored.

    Raises:
        InputError: with the line number, for anything but such a line.
    """
    table = Table(path, strict=strict)
    vectors: list[NDArray[np.float32]] = []
    articles: list[int | str | None] = []
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(LINE_LIMIT + 1):
            number += 1
            if len(raw) > LINE_LIMIT:
                raise InputError(path, f"line of more than {LINE_LIMIT} bytes", line=number)
            if not raw.strip():
                continue
            vector, article = parse_line(raw, path, number)
            if vectors and len(vector) != len(vectors[0]):
                problem = f"{len(vector)} dimensions; expected {len(vectors[0])}, as in the line before"
                raise InputError(path, problem, line=number, key="vector")
            vectors.append(vector)
            articles.append(article)
            if len(vectors) == BLOCK:
                table.add(np.stack(vectors), articles)
                vectors, articles = [], []
    if vectors:
        table.add(np.stack(vectors), articles)
    return table.finish(context)


def parse_line(raw: bytes, path: Path, number: int) -> tuple[NDArray[np.float32], int | str | None]:
    """Vector [D] and article id of one line, None for a row without one."""
    try:
        record = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:120]
        raise InputError(path, f"not a JSON object: {reason}", line=number) from None
    if not isinstance(record, dict):
        problem = f'expected {{"vector": [...], "article": ...}}, got {type(record).__name__}'
        raise InputError(path, problem, line=number)
    for key in ("vector", "article"):
        if key not in record:
            held = ", ".join(map(str, list(record)[:8])) or "no keys"
            raise InputError(path, f"missing; the line has {held}", line=number, key=key, fix=nearest(key, record))
    values, article = record["vector"], record["article"]
    if not isinstance(values, list) or not 2 <= len(values) <= DIM_LIMIT:
        raise InputError(path, f"expected a list of 2 to {DIM_LIMIT} numbers", line=number, key="vector")
    if not all(type(value) in (int, float) for value in values):
        odd = next(index for index, value in enumerate(values) if type(value) not in (int, float))
        raise InputError(path, f"expected numbers, got {values[odd]!r:.40} at dim {odd}", line=number, key="vector")
    if type(article) not in (int, str, NoneType) or (isinstance(article, int) and abs(article) >= 2**63):
        problem = f"expected an integer, a string or null, got {article!r:.40}"
        raise InputError(path, problem, line=number, key="article")
    try:
        return narrow(np.array(values, dtype=np.float64)), article
    except OverflowError:
        raise InputError(path, "a number too large for a float", line=number, key="vector") from None


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON; expected finite numbers")
