"""wandb: a run of Weights & Biases on this disk (``run-ID.wandb``), read without a server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.extras import need
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import FINISHED, run_of
from lvmcheck.readers._files import head, inside, parse_json
from lvmcheck.readers._numbers import NotANumberError, number, whole
from lvmcheck.readers._records import WANDB, wandb_records
from lvmcheck.readers._rows import Row, epochs_filled
from lvmcheck.run.view import Run

MODULE = "wandb.proto.wandb_internal_pb2"
GLOBAL_STEP = "trainer/global_step"  # of Lightning's logger, and of our exporter
PATTERNS = ("*.wandb", *(f"{folder}{kind}-*/*.wandb" for folder in ("", "wandb/") for kind in ("offline-run", "run")))


@dataclass
class _Log:
    """What the records said so far."""

    rows: list[Row] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    left_out: set[str] = field(default_factory=set)


def reads(path: Path) -> bool:
    return any(head(file, 7) == WANDB for file in _files(path)[:50])


def _files(path: Path) -> list[Path]:
    """The log itself, or those of a run folder or of a project's folder, oldest first."""
    if path.is_file():
        return [path]
    return next((found for pattern in PATTERNS if (found := inside(path, pattern))), [])


def read(path: Path, asked: Asked | None = None) -> Run:
    """The history of one run with its config. ``_step`` is the step, a metric ``epoch`` the epoch.

    Raises:
        InputError: wandb is not installed, a damaged file, several runs and none chosen, no history.
    """
    asked = asked or Asked()
    files = _files(path)
    if asked.run is not None:
        files = [file for file in files if asked.run in (file.stem, file.stem.removeprefix("run-"), file.parent.name)]
    if len(files) != 1:
        names = ", ".join(file.stem for file in files) or "none"
        raise InputError(path, f"expected one run, got {names}", fix="Name one: --run ID." if files else None)
    place = files[0]
    kind = need(MODULE, extra="readers", purpose="reading a W&B log").Record
    log = _Log()
    for count, payload in enumerate(wandb_records(place), start=1):
        try:
            record = kind.FromString(payload)
        except Exception as problem:  # protobuf's own errors, by version
            raise InputError(place, f"record {count} cannot be decoded ({type(problem).__name__})") from None
        _take(record, log, place)
    notes = [f"left out, because they are no numbers: {', '.join(sorted(log.left_out)[:8])}"] if log.left_out else []
    return run_of(
        place,
        epochs_filled(log.rows),
        columns=asked.columns,
        info={"config": log.config},
        done=_done(log.exit_code),
        notes=notes,
    )


def _take(record: Any, log: _Log, place: Path) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "history":
        row = _row(record.history, len(log.rows) + 1, log.left_out, place)
        if row is not None:
            log.rows.append(row)
    elif kind in ("run", "config"):
        _configure(record.run.config.update if kind == "run" else record.config.update, log.config, place)
    elif kind == "exit":
        log.exit_code = int(record.exit.exit_code)


def _row(history: Any, count: int, left_out: set[str], place: Path) -> Row | None:
    """A history record: each item a key (perhaps nested) and its value as JSON."""
    values: dict[str, float] = {}
    for item in history.item:
        name = item.key or "/".join(item.nested_key)
        body = parse_json(item.value_json, place, None)
        try:
            value = number(body) if not isinstance(body, str) or body in ("NaN", "Infinity", "-Infinity") else None
            if value is None:
                raise NotANumberError
            values[name] = value
        except NotANumberError:
            left_out.add(name)
    calls = values.pop("_step", None)
    stated = values.pop(GLOBAL_STEP, calls)  # where a logger says it, W&B's own step counts calls
    step = whole(stated) if stated is not None else int(history.step.num)
    t = values.pop("_runtime", 0.0)
    values = {name: value for name, value in values.items() if not name.startswith("_")}
    epoch = values.pop("epoch", None)
    return Row(values=values, epoch=epoch, step=step, line=count, t=t) if values else None


def _configure(updates: Iterable[Any], config: dict[str, Any], place: Path) -> None:
    for item in updates:
        name = item.key or "/".join(item.nested_key)
        if not name.startswith("_"):
            config[name] = parse_json(item.value_json, place, None)


def _done(exit_code: int | None) -> dict[str, Any]:
    if exit_code == 0:
        return dict(FINISHED)
    if exit_code is None:
        return {"status": "ended", "reason": "its log, which records no exit"}
    return {"status": "failed", "reason": f"exit code {exit_code}"}
