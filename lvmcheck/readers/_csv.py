"""A delimited file as rows of cells: its header as people and tools leave it, or a line that says what is wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from lvmcheck.errors import InputError, excerpt
from lvmcheck.readers._columns import axes
from lvmcheck.readers._files import text
from lvmcheck.readers._numbers import is_empty, is_number, number, whole
from lvmcheck.readers._table import MAX_COLUMNS, Line, bounded_rows
from lvmcheck.run.curves import PRIMARY
from lvmcheck.run.roles import by_name

DELIMITERS = (",", ";", "\t")
_INDEX = re.compile(r"(Unnamed: \d+)?")
"""What pandas calls the index of a frame, where it writes it and where it reads it again."""
INDEX = "index"
"""The name of a first column of words that has none."""
NAMED = 'Name its columns by place, --columns "train_loss=1,val_loss=2", or add a header line.'


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a delimited file, and what was left out of it."""

    lines: list[Line]
    notes: tuple[str, ...] = ()


def delimiter(header: str) -> str:
    """The one that splits the header into most columns; a comma where none does."""
    return max(DELIMITERS, key=header.count)


def read_csv(path: Path, mapped: Collection[str] = ()) -> Table:
    """Rows of a delimited table with a header; without one where ``mapped`` names its columns by place.

    Comments above the header are left out, and so are columns without a name that are empty (lines that end with a
    delimiter) or count the rows (the index of pandas).

    Raises:
        InputError: no header, a column without a name or twice, a row with another number of cells.
    """
    said = text(path)
    if not said.strip():
        raise InputError(path, "expected a header and rows, got an empty file")
    bounded_rows(said, path)
    title = _title(said)
    rows = _rows(said, path, after=title)
    skipped = _comments(rows)
    (first, header), body = rows[skipped], rows[skipped + 1 :]
    header = [name.strip() for name in header]
    header[0] = header[0].lstrip("# ")
    if len(header) > MAX_COLUMNS:
        raise InputError(path, f"expected at most {MAX_COLUMNS:,} columns, got {len(header):,}", line=first)
    if is_numbers(header):
        places = [str(place) for place in range(1, len(header) + 1)]
        if not mapped or not set(mapped) <= set(places):
            raise InputError(path, f"has no header line: {_shown(header)} are numbers", line=first, fix=NAMED)
        header, body = places, rows[skipped:]
    width = len(header)
    body = _without_gap(body, len(header))
    body = [(line, _fitted(cells, header, path, line)) for line, cells in body]
    left_out, notes = _unnamed(header, body, path, first)
    _distinct(header, path, first)
    kept = [place for place in range(width) if place not in left_out]
    lines = [Line(line, {header[place]: cells[place] for place in kept}) for line, cells in body]
    return Table(lines, (*(["a title above the header: left out"] if title else []), *notes))


def _title(said: str) -> int:
    """Lines above the header that are a title: a first line of words above one that names an epoch or metrics."""
    top = [line for line in islice(io.StringIO(said), 3) if line.strip()]
    if len(top) < 3:
        return 0
    title, names, cells = (line.strip().split(delimiter(top[1])) for line in top)
    told = [any(map(is_number, line)) for line in (title, names)]
    return 1 if not any(told) and is_number(cells[0]) and _are_names(names) and not _are_names(title) else 0


def _are_names(cells: Sequence[str]) -> bool:
    """Whether cells name an axis, or two metrics."""
    return bool(axes(cells)) or sum(by_name(cell).quantity in PRIMARY for cell in cells) > 1


def _rows(said: str, path: Path, *, after: int) -> list[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank, below a title."""
    found = [line for line in said.replace("\r", "\n").splitlines() if line.strip() and not line.startswith("#{")]
    top = found[min(after, len(found) - 1)]
    sign = delimiter(top)
    if top.count(sign) == 0 and len(top.split()) > 1 and not top.startswith('"') and _by_spaces(said):
        return [(at, line.split()) for at, line in enumerate(said.splitlines(), start=1) if line.strip()][after:]
    reader = csv.reader(io.StringIO(said, newline=""), delimiter=sign, strict=True)
    try:
        return [(reader.line_num, row) for row in reader if row][after:]
    except csv.Error as problem:
        raise InputError(path, f"is not a table ({problem})", line=reader.line_num) from None


def _by_spaces(said: str) -> bool:
    """Whether the lines below the header have as many words as it has, and begin with a number."""
    lines = [line.lstrip("# ").split() for line in said.splitlines() if line.strip()][:3]
    return len(lines) > 1 and len({len(line) for line in lines}) == 1 and all(is_number(line[0]) for line in lines[1:])


def _comments(rows: Sequence[tuple[int, list[str]]]) -> int:
    """How many rows above the header are comments; the last one is the header itself where numbers follow it."""
    count = 0
    while count + 1 < len(rows) and rows[count][1][0].lstrip().startswith("#"):
        count += 1
    if count and is_numbers(rows[count][1]) and len(rows[count - 1][1]) == len(rows[count][1]):
        return count - 1
    return count


def is_numbers(header: Sequence[str]) -> bool:
    """Whether most of what stands in a header are numbers, and not those with which pandas counts columns."""
    cells = [cell for cell in header if not is_empty(cell)]
    found = [cell for cell in cells if is_number(cell)]
    return 2 * len(found) > len(cells) and found != [str(place) for place in range(len(found))]


def _shown(header: Sequence[str]) -> str:
    found = [excerpt(cell, 20) for cell in header if is_number(cell)]
    return ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")


def _without_gap(body: Sequence[tuple[int, list[str]]], width: int) -> list[tuple[int, list[str]]]:
    """Rows that all have one cell more than the header, without the one that is empty in all of them."""
    if not body or any(len(cells) != width + 1 for _, cells in body):
        return list(body)
    gap = next((i for i in range(width) if not any(cells[i].strip() for _, cells in body)), None)
    return list(body) if gap is None else [(line, [*cells[:gap], *cells[gap + 1 :]]) for line, cells in body]


def _fitted(cells: list[str], header: Sequence[str], path: Path, line: int) -> list[str]:
    """A row as wide as the header, where what one of both has more than the other is empty cells at its end."""
    width, got = len(header), len(cells)
    if got > width and not any(cell.strip() for cell in cells[width:]):
        return cells[:width]
    if got < width and not any(header[got:]):
        return [*cells, *[""] * (width - got)]
    if got != width:
        raise InputError(path, f"expected {width} cells, got {got}", line=line)
    return cells


def _unnamed(
    header: list[str], body: Sequence[tuple[int, list[str]]], path: Path, line: int
) -> tuple[set[int], list[str]]:
    """Columns without a name that hold nothing to be read, and a note on each kind; one of names gets one."""
    left_out: set[int] = set()
    notes = []
    for place, name in enumerate(header):
        if _INDEX.fullmatch(name) is None:
            continue
        cells = [row[place] for _, row in body]
        if all(is_empty(cell) for cell in cells):
            notes += ["a column without a name is empty: left out"] if not left_out else []
        elif (place == 0 or name) and _counts(cells):
            notes.append(
                "the first column has no name and counts the rows: left out" if place == 0 else "left out: an index"
            )
        elif name:
            continue
        elif place == 0 and not any(is_number(cell) for cell in cells):
            header[0] = INDEX
            continue
        else:
            fix = "Name it, or take it out." if header.count("") == 1 else "The header must name every column."
            raise InputError(path, f"column {place + 1} has no name", line=line, fix=fix)
        left_out.add(place)
    return left_out, notes


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells are whole numbers that go up."""
    found = [whole(number(cell)) if is_number(cell) else None for cell in cells]
    return None not in found and all(b > a for a, b in pairwise(found))  # type: ignore[operator]


def _distinct(header: Sequence[str], path: Path, line: int) -> None:
    for place, name in enumerate(header):
        if name and name in header[:place]:
            raise InputError(path, f"column {name!r} stands twice", line=line, key=name)
