"""clearml: an offline session of ClearML (a folder with ``task.json`` and ``metrics.jsonl``), read without a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import run_of
from lvmcheck.readers._files import head, json_object, lines, parse_json, text
from lvmcheck.readers._numbers import NotANumberError, axis, number, whole
from lvmcheck.readers._rows import Row, epochs_filled
from lvmcheck.run.role_names import TRAIN, VALIDATION
from lvmcheck.run.view import Run

TASK, METRICS = "task.json", "metrics.jsonl"
SCALAR = "training_stats_scalar"


def reads(path: Path) -> bool:
    folder = path if path.is_dir() else path.parent
    return (
        path.name in (folder.name, TASK, METRICS)
        and bool(head(folder / TASK, 1))
        and SCALAR.encode() in head(folder / METRICS)
    )


def read(path: Path, asked: Asked | None = None) -> Run:
    """The scalars of the session by iteration, with its hyperparameters as config.

    Raises:
        InputError: no such session, a line that is no list of events, a value that is no number, another run asked for.
    """
    asked = asked or Asked()
    folder = path if path.is_dir() else path.parent
    task = json_object(folder / TASK)
    if asked.run is not None and asked.run not in (task.get("id"), task.get("name")):
        raise InputError("--run", f"the session is of task {task.get('name')!r} ({task.get('id')})")
    rows = rows_of(scalars(folder / METRICS))
    done = {"status": "ended", "reason": "its log, which records no exit"}
    info = {"config": dict(_config(task)), "run_id": task.get("id")}
    return run_of(folder / METRICS, epochs_filled(rows), columns=asked.columns, info=info, done=done)


def scalars(path: Path) -> Iterator[tuple[str, int, float, float]]:
    """Name, iteration, value and time of each scalar, in the order of the file."""
    for number_, line in lines(text(path)):
        body = parse_json(line, path, number_)
        if not isinstance(body, list) or not all(isinstance(event, dict) for event in body):
            raise InputError(path, "expected a list of events", line=number_)
        for event in body:
            if event.get("type") != SCALAR:
                continue
            try:
                value = number(event.get("value"))
            except NotANumberError as problem:
                raise InputError(path, f"expected a number, got {problem}", line=number_, key="value") from None
            iteration = axis(number(event.get("iter")), "iter", path, number_)
            if value is not None and iteration is not None:
                name = named(str(event.get("metric")), str(event.get("variant")))
                yield name, iteration, value, float(event.get("timestamp") or 0) / 1000


def named(title: str, series: str) -> str:
    """``val/loss`` of the title loss and the series val; one of both where they say the same."""
    if series == title:
        return title
    return f"{series}/{title}" if series.lower() in TRAIN | VALIDATION else f"{title}/{series}"


def rows_of(found: Iterator[tuple[str, int, float, float]]) -> list[Row]:
    """One row an iteration."""
    by_step: dict[int, dict[str, float]] = {}
    times: dict[int, float] = {}
    for name, iteration, value, time in found:
        by_step.setdefault(iteration, {})[name] = value
        times.setdefault(iteration, time)
    start = min(times.values(), default=0.0)
    rows = []
    for step, values in sorted(by_step.items()):
        epoch = values.pop("epoch", None)
        rows.append(Row(values=values, epoch=epoch, step=step, t=times[step] - start))
    return rows


def _config(task: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Hyperparameters, which ClearML keeps as text with their types; numbers become numbers again."""
    sections = task.get("hyperparams")
    for section, items in sections.items() if isinstance(sections, Mapping) else ():
        for key, item in items.items() if isinstance(items, Mapping) else ():
            value = item.get("value") if isinstance(item, Mapping) else item
            yield (key if section == "General" else f"{section}/{key}"), _plain(value)


def _plain(value: object) -> object:
    try:
        found = number(value)
    except NotANumberError:
        return value
    entire = whole(found)
    return entire if entire is not None and str(value).strip().lstrip("+-").isdigit() else found
