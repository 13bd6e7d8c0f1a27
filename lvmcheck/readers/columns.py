"""columns: any CSV, TSV or JSON-lines table, with a column map where its names are its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from lvmcheck.errors import InputError, nearest
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import run_of
from lvmcheck.readers._columns import AXES, MAY_FALL, axes, folded, sidecar, with_axes
from lvmcheck.readers._csv import DELIMITERS, delimiter, read_csv
from lvmcheck.readers._files import head
from lvmcheck.readers._numbers import NotANumberError, axis, is_number, number
from lvmcheck.readers._results import refuse_results
from lvmcheck.readers._rows import Row, chosen, epochs_filled, restarts
from lvmcheck.readers._shapes import shaped
from lvmcheck.readers._table import Line, left_out, numbers, read_jsonl
from lvmcheck.run.curves import PRIMARY
from lvmcheck.run.roles import by_name
from lvmcheck.run.view import Run

LINES = (".jsonl", ".ndjson", ".json", ".log", ".txt")
TEXTS = (".log", ".txt")
TABLES = (".csv", ".tsv")


def reads(path: Path) -> bool:
    start = head(path)
    if not start or b"\0" in start:
        return False
    if path.suffix.lower() in TABLES:
        return not start.lstrip().startswith(b"{")
    if path.suffix.lower() not in LINES:
        return False
    return _is_object(start.lstrip().partition(b"\n")[0]) or (path.suffix.lower() in TEXTS and _is_table(start))


def _is_table(start: bytes) -> bool:
    """Whether a text begins with names, an axis or a loss among them, and goes on with as many numbers."""
    lines = start.decode(errors="replace").splitlines()[:3]
    if len(lines) < 2:
        return False
    sign = delimiter(lines[0]) if any(map(lines[0].count, DELIMITERS)) else None
    names, cells = ([cell.strip() for cell in line.split(sign)] for line in lines[:2])
    known = axes(names) or any(by_name(name).quantity in PRIMARY for name in names)
    return bool(known) and len(names) == len(cells) > 1 and is_number(cells[0]) and not is_number(names[0])


def _is_object(line: bytes) -> bool:
    """Whether a line is one whole JSON object; a first line that a look at the file cut short is taken for one."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return line.startswith(b'{"') and len(line) > 4000


def read(path: Path, asked: Asked | None = None) -> Run:
    """The table as a run. Metrics go by their usual names (``validation/loss`` is val_loss) unless they are mapped.

    Raises:
        InputError: not such a table, a mapped column that is missing, text where a number belongs.
    """
    asked = asked or Asked()
    columns = {**sidecar(path), **asked.columns}
    lines, notes, reshaped = _lines(path, asked.run, columns)
    present = list(dict.fromkeys(name for line in lines for name in line.cells))
    stated = with_axes(present, columns)
    if "epoch" not in stated and "epoch" not in present:
        stated = with_axes(present, columns, _falling(lines))
    if not {*AXES} & {*stated, *present}:
        refuse_results([line.cells for line in lines], path)
    columns = stated
    for ours, theirs in columns.items():
        if theirs not in present:
            raise InputError(
                path, f"no column {theirs!r} (asked for as {ours})", fix=_other_name(theirs, present, path)
            )
    values, texts = numbers(lines, path, frozenset({*columns.values(), *AXES}))
    unread = left_out(lines, values, texts)
    rows = _rows(lines, values, columns, path)
    one = None if reshaped and len(restarts(rows)) == 1 else asked.run
    rows = _with_epochs(chosen(rows, path, one), path, columns.get("epoch", "epoch"))
    read = [f"{columns[ours]} as {ours}" for ours in AXES if folded(columns.get(ours, ours)) != ours]
    metrics = {ours: theirs for ours, theirs in columns.items() if ours not in AXES}
    return run_of(path, rows, columns=metrics, notes=[*notes, *unread], read=read)


def _rows(
    lines: Sequence[Line], values: Sequence[Mapping[str, float]], columns: Mapping[str, str], path: Path
) -> list[Row]:
    """Rows with their axes; one in which nothing was measured, such as a comment, is no epoch."""
    epoch_name, step_name = (columns.get(ours, ours) for ours in AXES)
    rows = []
    for line, found in zip(lines, values, strict=True):
        step = axis(found.get(step_name), "step", path, line.line)
        metrics = {name: value for name, value in found.items() if name not in (epoch_name, step_name)}
        epoch = found.get(epoch_name)
        if metrics or epoch is not None:
            rows.append(Row(values=metrics, epoch=epoch, step=step, line=line.line))
    return rows


def _lines(path: Path, run: str | None, columns: Mapping[str, str]) -> tuple[list[Line], list[str], bool]:
    """The rows of the file, one a moment, notes, and whether they stand in another shape there.

    Raises:
        InputError: not such a table.
    """
    start = head(path)
    if not start:
        raise InputError(path, "expected a table, got an empty file or none")
    if start.lstrip().startswith(b"{"):
        lines = read_jsonl(path)
        notes: tuple[str, ...] = ()
        lines = lines[1:] if _is_settings(lines) else lines
        if path.suffix.lower() == ".json" and len(lines) == 1 and not axes(lines[0].cells):
            raise InputError(path, "expected rows of a log, got one JSON object without an epoch or a step")
    else:
        table = read_csv(path, columns.values())
        lines, notes = table.lines, table.notes
    lines, remarks = shaped(lines, path, run)
    return lines, [*notes, *remarks], bool(remarks)


def _is_settings(lines: Sequence[Line]) -> bool:
    """Whether the first of several lines says what was set, before those that state an epoch or a step."""
    return len(lines) > 1 and not axes(lines[0].cells) and bool(axes(lines[1].cells)) and not _metrics(lines[0])


def _metrics(line: Line) -> bool:
    return any(by_name(name).quantity in PRIMARY for name in line.cells)


def _other_name(name: str, present: list[str], path: Path) -> str:
    """The nearest name, and at what the header was split where it holds one column."""
    start = head(path)
    fix = nearest(name, present)
    if len(present) == 1 and not start.lstrip().startswith(b"{"):
        fix += f" The header was split at {delimiter(start.decode(errors='replace').splitlines()[0])!r}."
    return fix


def _falling(lines: Sequence[Line]) -> set[str]:
    """Columns whose numbers go back somewhere."""
    names = dict.fromkeys(name for line in lines for name in line.cells)
    return {name for name in names if folded(name) in MAY_FALL and _falls([line.cells.get(name) for line in lines])}


def _falls(cells: Sequence[object]) -> bool:
    try:
        values = [value for cell in cells if (value := number(cell)) is not None]
    except NotANumberError:
        return False
    return any(after < before for before, after in pairwise(values))


def _with_epochs(rows: list[Row], path: Path, name: str) -> list[Row]:
    """In a table that states epochs, rows of steps that state none belong to the next one that is stated.

    Raises:
        InputError: a row with neither an epoch nor a step, which nothing places.
    """
    if all(row.epoch is None for row in rows):
        return rows
    missing = next((row for row in rows if row.epoch is None and row.step is None), None)
    if missing is not None:
        raise InputError(path, "expected an epoch, got an empty cell", line=missing.line, key=name)
    return epochs_filled(rows)
