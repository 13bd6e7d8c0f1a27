"""The rows of a recorded program as the log that other tools read.

Tried as CSV, JSON lines, trainer_state.json and printed lines, each with the program's own names and with the names
that all of these tools know: none of them judges any form better than a CSV with one row a step, a validation loss in
the row of its step, and columns step, loss, lr, grad_norm and val_loss; one judges the others far worse.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split, by_name

Row = Mapping[str, Any]
Table = dict[int, dict[str, float]]
"""Step -> its figures by name."""


def write_log(rows: Path, log: Path) -> None:
    """Write the reported rows as that CSV; under the program's own names where none of them is a loss."""
    reported: list[Row] = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    table = common(reported)
    if not any("loss" in figures for figures in table.values()):
        table = own(reported)
    names = list(dict.fromkeys(name for figures in table.values() for name in figures))
    with log.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["step", *names])
        writer.writeheader()
        writer.writerows({"step": step, **figures} for step, figures in table.items())


def own(rows: Iterable[Row]) -> Table:
    """Every figure under its own name."""
    table: Table = {}
    for step, row in _numbered(rows):
        table.setdefault(step, {}).update(row["values"])
    return table


def common(rows: list[Row]) -> Table:
    """What every tool knows; the training loss by epoch only where none is reported by step."""
    stepped = any(row["kind"] == "step" for row in rows)
    table: Table = {}
    for step, row in _numbered(rows):
        figures = table.setdefault(step, {})
        for name, value in row["values"].items():
            known = _of_step(name) if row["kind"] == "step" else _of_epoch(name, stepped)
            if known:
                figures.setdefault(known, value)
    return {step: figures for step, figures in table.items() if figures}


def _numbered(rows: Iterable[Row]) -> Iterable[tuple[int, Row]]:
    """Each row with its step; without steps its epoch, else its number."""
    for number, row in enumerate(rows, start=1):
        yield row["step"] or (number if row["epoch"] is None else row["epoch"]), row


def _of_step(name: str) -> str:
    return name if name in ("loss", "lr", "grad_norm") else ""


def _of_epoch(name: str, stepped: bool) -> str:
    role = by_name(name)
    if role.quantity is not Quantity.LOSS:
        return ""
    if role.split is Split.VALIDATION:
        return "val_loss"
    return "" if stepped else "loss"
