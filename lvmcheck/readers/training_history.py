"""training_history: the ancestors' ``training_history.json``: one object an epoch, and what stands beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lvmcheck.checks.wording import figure
from lvmcheck.errors import InputError
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import run_of
from lvmcheck.readers._files import head, json_object, shown
from lvmcheck.readers._numbers import NotANumberError, number
from lvmcheck.readers._rows import Row
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

WHAT = "a JSON object with a list 'history'"
NAME = "training_history.json"
BEST = "best_val_loss"


def reads(path: Path) -> bool:
    if path.is_dir():
        return (path / NAME).is_file() and not (path / "events.jsonl").is_file()
    start = head(path).lstrip()
    return start.startswith(b"{") and b'"history"' in start and b'"log_history"' not in start


def read(path: Path, asked: Asked | None = None) -> Run:
    """The history as a run. ``final_params`` and ``model_type`` become its model.

    Raises:
        InputError: not such a file; a row that is no object; an epoch missing, repeated or out of order; a value that
            is no number.
    """
    place = path / NAME if path.is_dir() else path
    body = json_object(place)
    history = body.get("history")
    if not isinstance(history, list) or not history:
        got = "none" if "history" not in body else shown(history)
        raise InputError(place, f"expected a list of epochs, got {got}", key="history")
    rows = [_row(entry, i, place) for i, entry in enumerate(history, start=1)]
    columns = asked.columns if asked else {}
    config = body.get("config")
    info = {"config": config} if isinstance(config, dict) else {}
    return run_of(place, rows, columns=columns, info=info, said=list(_model(body)), notes=list(_notes(body, rows)))


def _row(entry: object, index: int, place: Path) -> Row:
    where = f"history[{index - 1}]"
    if not isinstance(entry, dict):
        raise InputError(place, f"expected an object, got {shown(entry)}", key=where)
    values: dict[str, float] = {}
    for name, value in entry.items():
        try:
            found = number(value)
        except NotANumberError as problem:
            raise InputError(place, f"expected a number, got {problem}", key=f"{where}.{name}") from None
        if found is not None:
            values[str(name)] = found
    epoch = values.pop("epoch", None)
    if epoch is None:
        raise InputError(place, "expected an epoch, got none", key=f"{where}.epoch")
    return Row(values=values, epoch=epoch, line=index)


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
