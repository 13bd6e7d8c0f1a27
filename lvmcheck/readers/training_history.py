"""training_history: a JSON list of epochs, by itself or as "history" of an object, or a list of values a metric."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lvmcheck.checks.wording import figure
from lvmcheck.errors import InputError
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import run_of
from lvmcheck.readers._columns import axes
from lvmcheck.readers._files import head, parse_json, shown, text
from lvmcheck.readers._lists import by_metric
from lvmcheck.readers._numbers import NotANumberError, is_empty, number
from lvmcheck.readers._numbers import axis as axis_number
from lvmcheck.readers._results import refuse_results
from lvmcheck.readers._rows import Row, chosen
from lvmcheck.readers._shapes import shaped
from lvmcheck.readers._table import Line, flat
from lvmcheck.run import events as ev
from lvmcheck.run.curves import PRIMARY
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import by_name
from lvmcheck.run.view import Run

NAME = "training_history.json"
_ROWS = re.compile(rb"\[\s*(\{|\]|$)")
_EPOCH_KEY = re.compile(r"(?:epoch|ep|round|iter|iteration|step)?[_ \-]?(\d+)", re.IGNORECASE)
_BY_KEY = re.compile(
    rb'\{\s*"(?:epoch|ep|round|iter|iteration|step|[A-Za-z_ ]{1,80}"\s*:\s*\{\s*")?[_ \-]?[01]"\s*:', re.IGNORECASE
)
_LIST_OF_ROWS = re.compile(rb':\s*\[\s*\{[^\[\]{}]*"(?:epoch|step|round|iteration)"', re.IGNORECASE)
_METRIC_LIST = re.compile(rb'"([^"\\]{1,80})"\s*:\s*\[\s*(?:-?[\d.]|\[\s*\d+,|NaN|-?Infinity|null)')
BEST = "best_val_loss"


def reads(path: Path) -> bool:
    if path.is_dir():
        return (path / NAME).is_file() and not (path / "events.jsonl").is_file()
    start = head(path).lstrip()
    if b'"log_history"' in start or not start.startswith((b"{", b"[")):
        return False
    bare = path.suffix.lower() == ".json" and (_ROWS.match(start) is not None or _has_metric(path))
    return bare or (start.startswith(b"{") and b'"history"' in start)


def _has_metric(path: Path) -> bool:
    """Whether a list of numbers goes by the name of a loss, a score or a reward, or is the first of the file."""
    start = head(path, 1 << 16)
    if _BY_KEY.match(start.lstrip()) or _LIST_OF_ROWS.search(start):
        return True
    hits = list(_METRIC_LIST.finditer(start))
    first = bool(hits) and start.lstrip()[1:].lstrip().startswith(hits[0][0])
    return first or any(by_name(hit[1].decode(errors="replace")).quantity in (*PRIMARY, Quantity.TERM) for hit in hits)


def read(path: Path, asked: Asked | None = None) -> Run:
    """The history as a run. ``final_params`` and ``model_type`` become its model.

    Raises:
        InputError: not such a file; a row that is no object; an epoch missing, repeated or out of order; a value that
            is no number.
    """
    place = path / NAME if path.is_dir() else path
    whole = parse_json(text(place), place)
    body = whole if isinstance(whole, dict) else {"history": whole}
    body = _by_key(body)
    history, listed = body.get("history"), None
    if not isinstance(history, list) or _are_runs(history):
        listed = by_metric(body if history is None else history, asked.run if asked else None)
        history = history if listed is None else listed.rows
    if not isinstance(history, list) or not history:
        got = "none" if history is None else shown(history)
        raise InputError(place, f"expected a list of epochs, got {got}", key="history")
    run = None if listed is not None and listed.notes else asked.run if asked else None
    history, remarks = _moments(history, place, run) if listed is None else (history, listed.notes)
    rows = [_row(entry, i, place) for i, entry in enumerate(history, start=1)]
    _consistent(history, rows, place)
    rows = chosen(rows, place, None if remarks else run)
    columns = asked.columns if asked else {}
    config = body.get("config")
    info = {"config": config} if isinstance(config, dict) else {}
    beside = listed.beside if listed else {}
    after = [ev.Evaluation(name="summary", metrics=beside, about="after training")] if beside else []
    notes = [*remarks, *_notes(body, rows)]
    return run_of(place, rows, columns=columns, info=info, said=list(_model(body)), after=after, notes=notes)


def _by_key(body: dict[str, Any]) -> dict[str, Any]:
    """An object of epochs (``{"1": {..}, "2": {..}}``), or with a list of rows under any key, as a history."""
    if "history" in body:
        return body
    columns = {name: _column(value) for name, value in body.items()}
    if body and all(columns.values()):
        return columns
    keys = [_EPOCH_KEY.fullmatch(key) for key in body]
    if len(keys) > 1 and all(keys) and all(isinstance(row, dict) for row in body.values()):
        rows = [{"epoch": int(key[1]), **row} for key, row in zip(keys, body.values(), strict=True) if key is not None]
        return {"history": sorted(rows, key=lambda row: row["epoch"])}
    found = [name for name, value in body.items() if _are_rows(value)]
    return {**body, "history": body[found[0]]} if len(found) == 1 else body


def _column(value: object) -> list[Any] | None:
    """The values of a column as ``DataFrame.to_json`` writes it: ``{"0": .., "1": ..}``."""
    is_column = isinstance(value, dict) and len(value) > 1 and list(value) == [str(i) for i in range(len(value))]
    if not isinstance(value, dict) or not is_column or any(isinstance(each, dict) for each in value.values()):
        return None
    return list(value.values())


def _are_rows(value: object) -> bool:
    """Whether a value is a list of objects that state an epoch or a step."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) and axes(row) for row in value)


def _are_runs(history: list[Any]) -> bool:
    """Whether a list holds runs with lists of values, not epochs."""
    return (
        bool(history)
        and all(isinstance(entry, dict) for entry in history)
        and not any(axes(entry) or any(isinstance(value, int | float) for value in entry.values()) for entry in history)
    )


def _moments(history: list[Any], place: Path, run: str | None) -> tuple[list[Any], list[str]]:
    """Rows as one a moment, where they stand in another shape.

    Raises:
        InputError: they are no course of a run.
    """
    if not all(isinstance(entry, dict) for entry in history):
        return history, []
    history = [dict(flat(entry, place, i)) for i, entry in enumerate(history, start=1)]
    if not any(axes(entry) for entry in history):
        refuse_results(history, place)
    lines, notes = shaped([Line(i, entry) for i, entry in enumerate(history, start=1)], place, run)
    return ([dict(line.cells) for line in lines], notes) if notes else (history, [])


def _row(entry: object, index: int, place: Path) -> Row:
    where = f"history[{index - 1}]"
    if not isinstance(entry, dict):
        raise InputError(place, f"expected an object, got {shown(entry)}", key=where)
    values: dict[str, float] = {}
    for name, value in entry.items():
        try:
            found = number(value)
        except NotANumberError as problem:
            if isinstance(value, str | bool | list | dict):
                continue  # a name, a time, a list of values: no metric by epoch
            raise InputError(place, f"expected a number, got {problem}", key=f"{where}.{name}") from None
        if found is not None:
            values[str(name)] = found
    stated = {axis: values.pop(name) for axis, name in axes(values).items()}
    step = axis_number(stated.get("step"), "step", f"{place}: {where}", None)
    return Row(values=values, epoch=stated.get("epoch"), step=step, line=index)


def _consistent(history: list[Any], rows: list[Row], place: Path) -> None:
    """Refuse text in a metric that is a number elsewhere, and rows without the epoch that the others state."""
    numeric = {name for row in rows for name in row.values}
    for row, entry in zip(rows, history, strict=True):
        where = f"history[{(row.line or 1) - 1}]"
        stated = [name for name in numeric if not is_empty(entry.get(name))]
        bad = next((name for name in stated if name not in row.values), None)
        if bad is not None:
            raise InputError(place, f"expected a number, got {shown(entry[bad])}", key=f"{where}.{bad}")
        if row.epoch is None and row.step is None and any(other.epoch is not None for other in rows):
            raise InputError(place, "expected an epoch, got none", key=f"{where}.epoch")


def _model(body: Mapping[str, Any]) -> Iterator[ev.Event]:
    parameters, kind = body.get("final_params"), body.get("model_type")
    if isinstance(parameters, int) and not isinstance(parameters, bool):
        yield ev.Model(kind=kind if isinstance(kind, str) else "unknown", parameters=parameters)


def _notes(body: Mapping[str, Any], rows: list[Row]) -> Iterator[str]:
    """What the file says of itself, and where its summary contradicts its rows."""
    if isinstance(body.get("trained_at"), str):
        yield f"trained at {body['trained_at'][:40]}"
    if body.get("mamba_available") is False:
        yield "mamba_available is false: the model called Mamba2 is its GRU fallback"
    if not isinstance(body.get("config"), dict):
        yield "no config, seed or data is recorded"
    best = body.get(BEST)
    losses = [row.values["val_loss"] for row in rows if "val_loss" in row.values]
    lowest = min((loss for loss in losses if math.isfinite(loss)), default=None)
    if isinstance(best, float) and lowest is not None and not math.isclose(best, lowest, rel_tol=1e-6):
        yield f"{BEST} {figure(best)} is not the lowest val_loss of the rows ({figure(lowest)})"
