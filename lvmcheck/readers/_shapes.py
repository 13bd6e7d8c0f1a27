"""Tables in other shapes than one row a moment and one column a metric, as rows of that shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lvmcheck.errors import InputError, excerpt, several
from lvmcheck.readers._columns import axes, folded
from lvmcheck.readers._numbers import NotANumberError, number
from lvmcheck.readers._table import Line
from lvmcheck.run.role_names import TRAIN, VALIDATION

Shaped = tuple[list[Line], list[str]]
Names = Mapping[str, str]
"""Folded name -> the file's name of every column."""
Shape = Callable[[Sequence[Line], Names, Path, str | None], Shaped | None]

METRIC = ("metric", "metric_name", "metricname", "metric_key", "key", "tag", "name")
VALUE = ("value", "metric_value", "metricvalue", "scalar")
RUN = ("run_id", "run_uuid", "experiment_key", "run")
SPLIT = ("phase", "split", "set", "subset", "mode", "stage", "partition", "dataset")
CLIENT = ("client_id", "client", "clientid", "cid", "partition_id", "node_id", "worker_id", "party", "site")
_CHART = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<end>__MIN|__MAX)?")
_TAG = re.compile(r"(?:.*-)?tag-(?P<tag>.+)")


def shaped(lines: Sequence[Line], path: Path, run: str | None) -> Shaped:
    """The rows as one a moment, and notes on what was made of them.

    Raises:
        InputError: several runs and none chosen, or a metric that stands twice at one moment.
    """
    names = {folded(name): name for name in dict.fromkeys(name for line in lines for name in line.cells)}
    for shape in SHAPES:
        found = shape(lines, names, path, run)
        if found is not None:
            return found
    return list(lines), []


def _first(names: Mapping[str, str], wanted: Sequence[str]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)


# -- one row a value ---------------------------------------------------------------------------------------------------
def _one_row_a_value(lines: Sequence[Line], names: Names, path: Path, run: str | None) -> Shaped | None:
    """Columns ``metric``, ``step`` and ``value``, as MLflow's page and many scripts write them."""
    metric, value = _first(names, METRIC), _first(names, VALUE)
    if metric is None or value is None or not all(_is_text(line.cells.get(metric)) for line in lines):
        return None
    ids = _first(names, RUN)
    if ids is not None:
        label = names.get("run", ids)
        lines = _of_run(lines, path, run, lambda line: {str(line.cells.get(ids)), str(line.cells.get(label))})
    stated = axes(names.values())
    rows: dict[tuple[object, ...], dict[str, object]] = {}
    places: dict[tuple[object, ...], int] = {}
    count: dict[str, int] = {}
    for line in lines:
        what = str(line.cells[metric]).strip()
        count[what] = count.get(what, 0) + 1
        moment = tuple(_sortable(line.cells.get(name)) for name in stated.values()) or (count[what],)
        row = rows.setdefault(moment, {axis: line.cells.get(name) for axis, name in stated.items()})
        if what in row:
            raise InputError(path, f"stands twice at {moment[0]}", line=line.line, key=what)
        row[what] = line.cells.get(value)
        places.setdefault(moment, line.line)
    found = [Line(places[moment], rows[moment]) for moment in sorted(rows)]
    return found, [f"one value a row: column {value} read as {several(list(count), 4)}"]


def _is_text(cell: object) -> bool:
    return isinstance(cell, str) and _numeric(cell) is None and bool(cell.strip())


def _numeric(cell: object) -> float | None:
    try:
        return number(cell)
    except NotANumberError:
        return None


def _sortable(cell: object) -> float:
    found = _numeric(cell)
    return -1.0 if found is None else found


def _of_run(lines: Sequence[Line], path: Path, run: str | None, names_of: Callable[[Line], set[str]]) -> list[Line]:
    """The rows of one run, by its id or its name.

    Raises:
        InputError: several and none chosen, or no such run.
    """
    known = list(dict.fromkeys(" ".join(sorted(names_of(line))) for line in lines))
    if run is None and len(known) > 1:
        raise InputError(path, f"holds {len(known)} runs: {several(known, 4)}", fix="Say which: --run NAME.")
    found = [line for line in lines if run is None or run in names_of(line)]
    if not found:
        raise InputError("--run", f"no run {excerpt(str(run), 40)!r}; runs in this file: {several(known, 4)}")
    return found


# -- one row a split ---------------------------------------------------------------------------------------------------
def _one_row_a_split(lines: Sequence[Line], names: Names, path: Path, run: str | None) -> Shaped | None:  # noqa: ARG001
    """A column ``phase`` that says train or val: the metrics of each row are of that split."""
    split = next((name for name in (names.get(each) for each in SPLIT) if name and _splits(lines, name)), None)
    if split is None:
        return None
    stated = {folded(name) for name in axes(names.values()).values()}
    found = []
    for line in lines:
        side = str(line.cells.get(split)).strip().lower()
        rates = {name for name in line.cells if folded(name) in ("lr", "learning_rate")}
        cells = {
            name if folded(name) in stated or name in rates else f"{side}_{name}": cell
            for name, cell in line.cells.items()
            if name != split and not (name in rates and side in VALIDATION)
        }
        found.append(Line(line.line, cells))
    return found, [f"the metrics of a row are of the split that its column {split} says"]


def _splits(lines: Sequence[Line], name: str) -> bool:
    said = {str(line.cells.get(name)).strip().lower() for line in lines}
    return bool(said & TRAIN) and said <= TRAIN | VALIDATION


# -- one row a client --------------------------------------------------------------------------------------------------
def _one_row_a_client(lines: Sequence[Line], names: Names, path: Path, run: str | None) -> Shaped | None:  # noqa: ARG001
    """Federated training: several rows a round, one for each client; their mean is the round's."""
    client, stated = _first(names, CLIENT), axes(names.values())
    axis = stated.get("epoch") or stated.get("step")
    if client is None or axis is None:
        return None
    rounds: dict[float, list[Line]] = {}
    for line in lines:
        rounds.setdefault(_sortable(line.cells.get(axis)), []).append(line)
    if len(rounds) == len(lines):
        return None
    found = [Line(of[0].line, dict(_means(of, axis, client))) for of in rounds.values()]
    most = max(len(of) for of in rounds.values())
    return found, [f"up to {most} rows for each {axis}, told apart by {client}: their mean is judged"]


def _means(lines: Sequence[Line], axis: str, client: str) -> Iterator[tuple[str, object]]:
    yield axis, lines[0].cells.get(axis)
    for name in dict.fromkeys(name for line in lines for name in line.cells):
        values = [value for line in lines if (value := _numeric(line.cells.get(name))) is not None]
        if name not in (axis, client) and values:
            yield name, sum(values) / len(values)


# -- exports of dashboards ---------------------------------------------------------------------------------------------
def _chart(lines: Sequence[Line], names: Names, path: Path, run: str | None) -> Shaped | None:
    """A chart of W&B: columns ``RUN - METRIC``, each with its ``__MIN`` and ``__MAX``."""
    columns = list(names.values())
    stated = set(axes(columns).values())
    hits = {name: hit for name in columns if (hit := _CHART.fullmatch(name)) is not None}
    if not hits or set(columns) - set(hits) - stated or not any(name.endswith("__MAX") for name in columns):
        return None
    runs = list(dict.fromkeys(hit["run"] for hit in hits.values()))
    if run is None and len(runs) > 1:
        raise InputError(path, f"holds {len(runs)} runs: {several(runs, 4)}", fix="Say which: --run NAME.")
    if run is not None and run not in runs:
        raise InputError("--run", f"no run {excerpt(run, 40)!r}; runs in this file: {several(runs, 4)}")
    kept = {name: hit["metric"] for name, hit in hits.items() if not hit["end"] and hit["run"] == (run or runs[0])}
    kept = {name: metric for name, metric in kept.items() if not metric.startswith("_")}
    kept |= {name: name for name in stated}
    found = [Line(line.line, {kept[name]: cell for name, cell in line.cells.items() if name in kept}) for line in lines]
    return found, [f"a chart of the run {run or runs[0]}; its __MIN and __MAX are left out"]


def _scalar(lines: Sequence[Line], names: Names, path: Path, run: str | None) -> Shaped | None:  # noqa: ARG001
    """One scalar of TensorBoard's page (Wall time, Step, Value): its name stands in the file's."""
    if set(names) != {"wall_time", "step", "value"}:
        return None
    hit = _TAG.fullmatch(path.stem)
    tag = hit["tag"] if hit else path.stem
    found = [
        Line(line.line, {"step": line.cells.get(names["step"]), tag: line.cells.get(names["value"])}) for line in lines
    ]
    return found, [f"one scalar of TensorBoard, {tag} by the file's name"]


def _episodes(lines: Sequence[Line], names: Names, path: Path, run: str | None) -> Shaped | None:  # noqa: ARG001
    """``monitor.csv`` of Stable-Baselines: reward, length and time of every episode."""
    if not {"r", "l", "t"} <= set(names):
        return None
    step = 0.0
    found = []
    for line in lines:
        step += _numeric(line.cells.get("l")) or 0.0
        found.append(
            Line(line.line, {"step": step, "episode_reward": line.cells.get("r"), "episode_length": line.cells["l"]})
        )
    return found, ["one episode a row: r read as episode_reward, the sum of l as step"]


SHAPES: tuple[Shape, ...] = (_one_row_a_value, _one_row_a_split, _one_row_a_client, _chart, _scalar, _episodes)
