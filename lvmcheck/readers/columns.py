"""columns: any CSV, TSV or JSON-lines table, with a column map where its names are its own."""

from __future__ import annotations

from pathlib import Path

from lvmcheck.errors import InputError, nearest
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import run_of
from lvmcheck.readers._columns import AXES, sidecar
from lvmcheck.readers._files import head
from lvmcheck.readers._numbers import axis
from lvmcheck.readers._rows import Row
from lvmcheck.readers._table import delimiter, numbers, read_csv, read_jsonl
from lvmcheck.run.view import Run

WHAT = "a CSV, TSV or JSON-lines table with a column 'epoch' or 'step', or with --columns"
LINES = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv", *LINES)


def reads(path: Path) -> bool:
    start = head(path)
    if path.suffix.lower() not in TABLES or not start or b"\0" in start:
        return False
    return not start.lstrip().startswith(b"{") or path.suffix.lower() in LINES


def read(path: Path, asked: Asked | None = None) -> Run:
    """The table as a run. Metrics go by their usual names (``validation/loss`` is val_loss) unless they are mapped.

    Raises:
        InputError: not such a table, a mapped column that is missing, text where a number belongs.
    """
    start = head(path)
    if not start:
        raise InputError(path, "expected a table, got an empty file or none")
    is_lines = start.lstrip().startswith(b"{")
    lines = read_jsonl(path) if is_lines else read_csv(path)
    columns = {**sidecar(path), **(asked.columns if asked else {})}
    present = list(dict.fromkeys(name for line in lines for name in line.cells))
    for ours, theirs in columns.items():
        if theirs not in present:
            fix = nearest(theirs, present)
            if len(present) == 1 and not is_lines:
                fix += f" The header was split at {delimiter(start.decode(errors='replace').splitlines()[0])!r}."
            raise InputError(path, f"no column {theirs!r} (asked for as {ours})", line=None if is_lines else 1, fix=fix)
    values, texts = numbers(lines, path, frozenset({*columns.values(), *AXES}))
    rows = []
    for line, found in zip(lines, values, strict=True):
        # A row in which nothing was measured, such as a comment, is no epoch.
        epoch = found.pop("epoch", None) if "epoch" not in columns.values() else found.get("epoch")
        step = axis(found.get("step"), "step", path, line.line)
        if "step" not in columns.values():
            found.pop("step", None)
        if found:
            rows.append(Row(values=found, epoch=epoch, step=step, line=line.line))
    _one_axis(rows, path, columns)
    notes = [f"columns left out, because they hold no numbers: {', '.join(texts[:8])}"] if texts else []
    return run_of(path, rows, columns=columns, notes=notes)


def _one_axis(rows: list[Row], path: Path, columns: dict[str, str]) -> None:
    """A row without an epoch in a table that has epochs is an error; nothing says where it belongs."""
    if "epoch" in columns:
        missing = next((row for row in rows if columns["epoch"] not in row.values and row.epoch is None), None)
        name = columns["epoch"]
        if name == "step":
            missing = next((row for row in rows if row.step is None), None)
    else:
        name = "epoch"
        missing = next((row for row in rows if row.epoch is None), None)
        if all(row.epoch is None for row in rows):
            return
    if missing is not None:
        raise InputError(path, "expected an epoch, got an empty cell", line=missing.line, key=name)
