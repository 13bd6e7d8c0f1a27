"""A CSV, TSV or JSON-lines file as rows of cells, each column either numbers or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError, several
from lvmcheck.readers._files import SMALLER, lines, parse_json, shown, text
from lvmcheck.readers._numbers import NotANumberError, number

MAX_COLUMNS = 10_000
MAX_ROWS = 2_000_000
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One row: its 1-based line in the file, and its cells by column."""

    line: int
    cells: Mapping[str, object]


def bounded_rows(said: str, path: Path) -> None:
    """Refuse more rows than are read, before any of them is."""
    rows = said.count("\n")
    if rows > MAX_ROWS:
        raise InputError(path, f"expected at most {MAX_ROWS:,} rows, got {rows:,}", fix=SMALLER)


def read_jsonl(path: Path) -> list[Line]:
    """Objects, one a line; an object inside an object is flattened: ``{"val": {"loss": 1}}`` is ``val/loss``.

    Raises:
        InputError: a line that is no object, or a key that stands twice.
    """
    found: list[Line] = []
    whole = text(path)
    bounded_rows(whole, path)
    for line, said in lines(whole):
        try:
            body = parse_json(said, path, line)
        except InputError:
            if found and line == whole.count("\n") + 1:
                break  # a writer that was stopped inside its last line
            raise
        if not isinstance(body, dict):
            raise InputError(path, f"expected an object, got {shown(body)}", line=line)
        cells = dict(flat(body, path, line))
        if len(cells) > MAX_COLUMNS:
            raise InputError(path, f"expected at most {MAX_COLUMNS:,} columns, got {len(cells):,}", line=line)
        found.append(Line(line, cells))
    return found


def flat(body: Mapping[str, Any], path: Path, line: int, above: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """The values of an object by their keys; those of an object inside it by both keys."""
    for key, value in body.items():
        if isinstance(value, dict):
            if depth >= MAX_DEPTH:
                raise InputError(path, f"expected at most {MAX_DEPTH} levels of objects", line=line, key=above + key)
            yield from flat(value, path, line, f"{above}{key}/", depth + 1)
        else:
            yield above + key, value


def numbers(rows: list[Line], path: Path, wanted: frozenset[str]) -> tuple[list[dict[str, float]], list[str]]:
    """Cells as numbers, and the names of columns that hold none.

    A column of text is left out; one that mixes text and numbers is an error, and so is text in a ``wanted`` column.

    Raises:
        InputError: with the row and the column.
    """
    values: list[dict[str, float]] = [{} for _ in rows]
    texts: dict[str, tuple[int, str]] = {}
    numeric: set[str] = set()
    for row, found in zip(rows, values, strict=True):
        for name, cell in row.cells.items():
            try:
                value = number(cell)
            except NotANumberError as problem:
                texts.setdefault(name, (row.line, str(problem)))
                continue
            if value is not None:
                found[name] = value
                numeric.add(name)
    for name, (line, what) in texts.items():
        if name in numeric or name in wanted or "decimal comma" in what:
            raise InputError(path, f"expected a number, got {what}", line=line, key=name)
    return values, list(texts)


def left_out(rows: list[Line], values: list[dict[str, float]], texts: list[str]) -> list[str]:
    """Notes on columns that hold no numbers: those of text, and those in which nothing was measured."""
    numeric = {name for found in values for name in found} | set(texts)
    empty = [name for name in dict.fromkeys(name for row in rows for name in row.cells) if name not in numeric]
    notes = [f"columns left out, because they hold no numbers: {several(texts, 8)}"] if texts else []
    return [*notes, *([f"columns in which nothing was measured: {several(empty, 8)}"] if empty else [])]
