"""The runs of a suite side by side in a terminal: aligned columns that fit the width, whatever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.report.progress import COLUMNS, live_cells
from lvmcheck.run.view import Run

GAP = "  "
MOST = 12
"""Runs that have a line of their own."""
ORDER = ("label", *COLUMNS, "state")
DROPPED = ("speed", "curve", "first", "left")
"""Columns that a narrow terminal loses, in this order; label, epoch, the main metric and the state stay."""
CURVES = (20, 10)
"""Lengths of a sparkline that are tried before columns are dropped."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One run of the table; ``state`` is what its figures do not show, such as "waiting"."""

    label: str
    run: Run
    state: str = ""


def table(lanes: Sequence[Lane], width: int, *, ascii_only: bool = False) -> list[str]:
    """Lines of at most ``width`` characters, one a run; the columns start at the same place in all of them."""
    shown = lanes[:MOST]
    lines: list[str] = []
    for length in CURVES:
        rows = [_cells(lane, length, ascii_only=ascii_only) for lane in shown]
        lines = _aligned(rows, ORDER)
        if _fits(lines, width):
            break
    columns = list(ORDER)
    for column in DROPPED:
        if _fits(lines, width):
            break
        columns.remove(column)
        lines = _aligned(rows, columns)
    if len(lanes) > MOST:
        lines.append(f"{GAP}and {len(lanes) - MOST} more runs")
    end = "..." if ascii_only else "…"
    return [line if len(line) <= width else line[: max(0, width - len(end))] + end[:width] for line in lines]


def _cells(lane: Lane, length: int, *, ascii_only: bool) -> dict[str, str]:
    label = {"label": f"{GAP}{lane.label}"}
    if lane.state and not lane.run.events:
        return {**label, "epoch": lane.state}  # a column of its own would push all others aside
    return {**label, **live_cells(lane.run, ascii_only=ascii_only, width=length), "state": lane.state}


def _aligned(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> list[str]:
    used = [column for column in columns if any(row.get(column) for row in rows)]
    widths = {column: max(len(row.get(column, "")) for row in rows) for column in used}
    return [GAP.join(row.get(column, "").ljust(widths[column]) for column in used).rstrip() for row in rows]


def _fits(lines: Sequence[str], width: int) -> bool:
    return all(len(line) <= width for line in lines)
