"""lightning_csv: ``metrics.csv`` of Lightning's CSVLogger: several sparse rows a step, merged on their epoch."""

from __future__ import annotations

from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import run_of
from lvmcheck.readers._csv import read_csv
from lvmcheck.readers._files import head, inside
from lvmcheck.readers._numbers import axis
from lvmcheck.readers._rows import Row, epochs_filled
from lvmcheck.readers._table import left_out, numbers
from lvmcheck.run.view import Run

NAME = "metrics.csv"


def reads(path: Path) -> bool:
    return any(_is_ours(place) for place in _files(path))


def _is_ours(path: Path) -> bool:
    header = head(path).partition(b"\n")[0].decode(errors="replace")
    return path.name == NAME and {"epoch", "step"} <= {name.strip() for name in header.split(",")}


def _files(path: Path) -> list[Path]:
    """The metrics in a folder of one version, or of several; newest version last."""
    if path.is_file():
        return [path]
    own = path / NAME
    if own.is_file():
        return [own]
    patterns = (f"version_*/{NAME}", f"*/version_*/{NAME}")
    return next((found for pattern in patterns if (found := inside(path, pattern))), [])


def read(path: Path, asked: Asked | None = None) -> Run:
    """The log as a run: ``x_epoch`` is called x, a loss that is logged by step becomes windows of one step.

    Callbacks log rows without an epoch; they belong to that of the next row that states one.

    Raises:
        InputError: no such table, several versions and none chosen, text where a number belongs.
    """
    asked = asked or Asked()
    found = [place for place in _files(path) if _is_ours(place)]
    if asked.run is not None:
        found = [place for place in found if place.parent.name == asked.run]
    if len(found) != 1:
        names = ", ".join(place.parent.name for place in found) or "none"
        raise InputError(path, f"expected one run, got {names}", fix="Name one: --run version_0." if found else None)
    place = found[0]
    table = read_csv(place)
    lines = table.lines
    values, texts = numbers(lines, place, frozenset({"epoch", "step"}))
    unread = left_out(lines, values, texts)
    rows = []
    for line, cells in zip(lines, values, strict=True):
        epoch, step = cells.pop("epoch", None), axis(cells.pop("step", None), "step", place, line.line)
        if cells:
            rows.append(Row(values=cells, epoch=epoch, step=step, line=line.line))
    return run_of(place, epochs_filled(rows), columns=asked.columns, notes=[*table.notes, *unread])
