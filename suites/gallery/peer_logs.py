"""The rows of a recorded program as the log that other tools read, in two forms.

Tried as CSV, JSON lines, trainer_state.json and printed lines, each with the program's own names and with the names
that all of these tools know: none of them judges any format better than a CSV with the validation loss in the row of
its step and columns step, loss, lr, grad_norm and val_loss; one judges the others far worse. How fine the log is makes
more difference: a row a step, or a row an epoch with the means of its steps.
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


STEPS, EPOCHS = "a row a step", "a row an epoch"
FORMS = (STEPS, EPOCHS)


def write_log(rows: Path, log: Path, form: str = STEPS) -> None:
    """Write the reported rows as that CSV; under the program's own names where none of them is a loss."""
    reported: list[Row] = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    table = common(by_epoch(reported) if form == EPOCHS else reported)
    if not any("loss" in figures for figures in table.values()):
        table = own(reported)
    names = list(dict.fromkeys(name for figures in table.values() for name in figures))
    with log.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["step", *names])
        writer.writeheader()
        writer.writerows({"step": step, **figures} for step, figures in table.items())


def by_epoch(rows: list[Row]) -> list[Row]:
    """Instead of the steps before an epoch's end one row with their means (of the rate its last value)."""
    thinned: list[Row] = []
    steps: list[Mapping[str, float]] = []
    for row in rows:
        if row["kind"] == "step":
            steps.append(row["values"])
            continue
        if steps:
            thinned.append({"kind": "step", "step": row["step"], "epoch": None, "values": _means(steps)})
        thinned.append(row)
        steps = []
    return thinned if any(row["kind"] == "epoch" for row in rows) else rows


def _means(steps: list[Mapping[str, float]]) -> dict[str, float]:
    columns = {name: [step[name] for step in steps if name in step] for name in steps[-1]}
    return {name: values[-1] if name == "lr" else sum(values) / len(values) for name, values in columns.items()}


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
