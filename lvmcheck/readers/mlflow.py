"""mlflow: a run of MLflow's SQLite store, read with the standard library alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmcheck.errors import InputError, several
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import FINISHED, run_of
from lvmcheck.readers._numbers import NotANumberError, axis, number, whole
from lvmcheck.readers._rows import Row, epochs_filled
from lvmcheck.readers._sqlite import holds, opened, store_at, tables
from lvmcheck.readers._table import MAX_ROWS
from lvmcheck.run.view import Run

if TYPE_CHECKING:
    import sqlite3

TABLES = {"runs", "metrics", "params"}
HUGE = 1.797e308
"""MLflow stores infinities as the largest float."""
ENDED = {"FAILED": "failed", "KILLED": "interrupted", "RUNNING": "left running", "SCHEDULED": "left scheduled"}


def reads(path: Path) -> bool:
    return holds(path, TABLES)


def read(path: Path, asked: Asked | None = None) -> Run:
    """The metrics of one run with its parameters as config. A NaN that the store keeps as 0 is a NaN again.

    Raises:
        InputError: not such a store, several runs and none chosen, a value that is no number.
    """
    import sqlite3

    asked = asked or Asked()
    place = store_at(path)
    if place is None:
        raise InputError(path, "expected one SQLite store, got none or several")
    try:
        with opened(place) as store:
            if not tables(store) >= TABLES:
                raise InputError(place, f"expected the tables {', '.join(sorted(TABLES))}; it is no MLflow store")
            run_id, status = _chosen(store, place, asked.run)
            rows = epochs_filled(list(_rows(store, place, run_id)))
            config = dict(_params(store, run_id))
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        raise InputError(place, f"cannot be read as an SQLite store ({str(problem)[:160]})") from None
    ended = ENDED.get(status)
    done = dict(FINISHED) if ended is None else {"status": ended, "reason": f"MLflow status {status}"}
    return run_of(place, rows, columns=asked.columns, info={"config": config, "run_id": run_id}, done=done)


def _chosen(store: sqlite3.Connection, path: Path, wanted: str | None) -> tuple[str, str]:
    found = store.execute(
        "SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage IS NOT 'deleted' ORDER BY start_time LIMIT 10000"
    ).fetchall()
    hits = found if wanted is None else [row for row in found if wanted in row[:2]]
    if len(hits) != 1:
        names = several([f"{row[0]} ({row[1]})" for row in found], 8)
        asked = f"{len(hits)} called {wanted!r} of " if wanted is not None else ""
        fix = "Name one: --run ID." if found else None
        raise InputError(path, f"expected one run, got {asked}{len(found)}: {names or 'none'}", fix=fix)
    return str(hits[0][0]), str(hits[0][2])


def _rows(store: sqlite3.Connection, path: Path, run_id: str) -> Iterator[Row]:
    """Metrics in the order of time; those of one call carry one time and one step."""
    said = store.execute(
        "SELECT key, value, is_nan, step, timestamp FROM metrics WHERE run_uuid = ? ORDER BY timestamp, step LIMIT ?",
        (run_id, MAX_ROWS + 1),
    )
    values: dict[str, float] = {}
    moment: tuple[int | None, float] | None = None
    start: float | None = None
    for key, value, is_nan, step, timestamp in said:
        where = f"metric {str(key)[:80]!r}"
        if not isinstance(key, str) or not isinstance(timestamp, int | float):
            raise InputError(path, f"expected a name and a time, got {key!r} and {timestamp!r}"[:200], key="metrics")
        start = float(timestamp) if start is None else start
        now = (axis(_float(step, where, path), "step", path, None), (float(timestamp) - start) / 1000)
        # A server stamps the metrics of one step up to some milliseconds apart.
        if moment is not None and (now[0] != moment[0] or key in values):
            yield _row(values, moment)
            values, moment = {}, now
        moment = moment or now
        values[key] = math.nan if is_nan else _infinite(_float(value, where, path))
    if moment is not None:
        yield _row(values, moment)


def _row(values: Mapping[str, float], moment: tuple[int | None, float]) -> Row:
    epoch = values.get("epoch")
    return Row(
        values={name: value for name, value in values.items() if name != "epoch"},
        epoch=epoch,
        step=moment[0],
        t=moment[1],
    )


def _float(value: object, where: str, path: Path) -> float:
    try:
        found = number(value)
    except NotANumberError as problem:
        raise InputError(path, f"expected a number, got {problem}", key=where) from None
    if found is None:
        raise InputError(path, "expected a number, got none", key=where)
    return found


def _infinite(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= HUGE else value


def _params(store: sqlite3.Connection, run_id: str) -> Iterator[tuple[str, Any]]:
    """Parameters, which MLflow keeps as text; numbers become numbers again."""
    for key, value in store.execute("SELECT key, value FROM params WHERE run_uuid = ? LIMIT 10000", (run_id,)):
        try:
            found = number(value)
        except NotANumberError:
            yield str(key), str(value)
            continue
        entire = whole(found)
        is_integer = entire is not None and str(value).strip().lstrip("+-").isdigit()
        yield str(key), entire if is_integer else found
