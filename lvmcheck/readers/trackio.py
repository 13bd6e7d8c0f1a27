"""trackio: a run of Trackio's SQLite store (``PROJECT.db``), read with the standard library alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmcheck.errors import InputError, several
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import run_of
from lvmcheck.readers._files import parse_json
from lvmcheck.readers._numbers import NotANumberError, number
from lvmcheck.readers._rows import Row, epochs_filled
from lvmcheck.readers._sqlite import holds, opened, store_at, tables
from lvmcheck.readers._table import MAX_ROWS
from lvmcheck.run.view import Run

if TYPE_CHECKING:
    import sqlite3

TABLES = {"metrics", "configs", "project_metadata"}
COUNTED = "trainer/global_step"
"""Where a logger says the step; Trackio's own counts calls."""


def reads(path: Path) -> bool:
    return holds(path, TABLES)


def read(path: Path, asked: Asked | None = None) -> Run:
    """The metrics of one run with its config. A store says nothing of how its runs ended.

    Raises:
        InputError: not such a store, several runs and none chosen, no metric.
    """
    import sqlite3

    asked = asked or Asked()
    place = store_at(path)
    if place is None:
        raise InputError(path, "expected one SQLite store, got none or several")
    left_out: set[str] = set()
    try:
        with opened(place) as store:
            if not tables(store) >= TABLES:
                raise InputError(place, f"expected the tables {', '.join(sorted(TABLES))}; it is no Trackio store")
            run_id = _chosen(store, place, asked.run)
            rows = epochs_filled(list(_rows(store, place, run_id, left_out)))
            config = _config(store, place, run_id)
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        raise InputError(place, f"cannot be read as an SQLite store ({str(problem)[:160]})") from None
    notes = [f"left out, because they are no numbers: {several(sorted(left_out), 8)}"] if left_out else []
    done = {"status": "ended", "reason": "its log, which records no exit"}
    return run_of(place, rows, columns=asked.columns, info={"config": config, "run_id": run_id}, done=done, notes=notes)


def _chosen(store: sqlite3.Connection, path: Path, wanted: str | None) -> str:
    found = store.execute("SELECT DISTINCT run_id, run_name FROM metrics ORDER BY id LIMIT 10000").fetchall()
    hits = found if wanted is None else [row for row in found if wanted in row]
    if len(hits) != 1:
        names = several([f"{row[1]} ({row[0]})" for row in found], 8)
        asked = f"{len(hits)} called {wanted!r} of " if wanted is not None else ""
        fix = "Name one: --run ID." if found else None
        raise InputError(path, f"expected one run, got {asked}{len(found)}: {names or 'none'}", fix=fix)
    return str(hits[0][0])


def _rows(store: sqlite3.Connection, path: Path, run_id: str, left_out: set[str]) -> Iterator[Row]:
    said = store.execute(
        "SELECT step, timestamp, metrics FROM metrics WHERE run_id = ? ORDER BY step, id LIMIT ?",
        (run_id, MAX_ROWS + 1),
    )
    start: float | None = None
    for line, (step, timestamp, body) in enumerate(said, start=1):
        values: dict[str, float] = {}
        for name, value in _object(body, path, line).items():
            try:
                found = number(value)
                if found is not None:
                    values[name] = found
            except NotANumberError:
                left_out.add(name)
        now = _seconds(timestamp)
        start = now if start is None else start
        counted = values.pop(COUNTED, None)
        epoch = values.pop("epoch", None)
        own = step if isinstance(step, int) else None
        if values:
            yield Row(
                values=values, epoch=epoch, step=own if counted is None else int(counted), line=line, t=now - start
            )


def _object(body: object, path: Path, line: int | None) -> dict[str, Any]:
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    found = parse_json(text, path, line)
    if not isinstance(found, dict):
        raise InputError(path, "expected metrics as a JSON object", line=line)
    return found


def _config(store: sqlite3.Connection, path: Path, run_id: str) -> dict[str, Any]:
    row = store.execute("SELECT config FROM configs WHERE run_id = ?", (run_id,)).fetchone()
    found = _object(row[0], path, None) if row else {}
    return {key: value for key, value in found.items() if not key.startswith("_")}


def _seconds(timestamp: object) -> float:
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return 0.0
