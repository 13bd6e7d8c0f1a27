"""tensorboard: scalars of TensorBoard event files, every one of them (its own reader keeps a sample of 10,000)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.extras import need
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import run_of
from lvmcheck.readers._files import head, inside
from lvmcheck.readers._records import check_tfrecords, is_tfrecord
from lvmcheck.readers._rows import Row, epochs_filled
from lvmcheck.run.view import Run

PATTERN = "*tfevents*"
MODULE = "tensorboard.backend.event_processing.event_accumulator"
# 0 keeps all; the rest is never looked at, so one of each is kept.
KEPT = {"scalars": 0, "tensors": 0, "images": 1, "audio": 1, "histograms": 1, "compressedHistograms": 1}


def reads(path: Path) -> bool:
    files = [path] if path.is_file() else [file for folder in _folders(path) for file in inside(folder, PATTERN)]
    return any(is_tfrecord(head(file, 256)) for file in files[:50])


def _folders(path: Path) -> list[Path]:
    """The folder itself where it holds events, else those of its subfolders (two levels) that do."""
    if inside(path, PATTERN):
        return [path]
    return sorted({file.parent for pattern in (f"*/{PATTERN}", f"*/*/{PATTERN}") for file in inside(path, pattern)})


def read(path: Path, asked: Asked | None = None) -> Run:
    """All scalars as a run. The tag ``epoch``, where there is one (Lightning), states the epoch of its step.

    Raises:
        InputError: TensorBoard is not installed, a damaged file, several runs and none chosen, no scalars.
    """
    asked = asked or Asked()
    place = path if path.is_file() else _one_of(path, asked.run)
    notes = []
    for file in [place] if place.is_file() else inside(place, PATTERN):
        torn = check_tfrecords(file)
        if torn:
            notes.append(f"{file.name} ends in an unfinished record of {torn:,} bytes, which was not read")
    log = need(MODULE, extra="readers", purpose="reading TensorBoard event files").EventAccumulator(str(place), KEPT)
    try:
        log.Reload()
        points = sorted(_points(log), key=lambda point: point[0])
    except Exception as problem:
        raise InputError(place, f"cannot be read as events ({type(problem).__name__}: {str(problem)[:160]})") from None
    return run_of(place, _rows(points), columns=asked.columns, notes=notes)


def _one_of(path: Path, wanted: str | None) -> Path:
    folders = _folders(path)
    named = {folder.relative_to(path).as_posix(): folder for folder in folders}
    if wanted is not None:
        folders = [named[wanted]] if wanted in named else []
    if len(folders) != 1:
        fix = f"Name one: --run {next(iter(named))}." if named else None
        raise InputError(path, f"expected the events of one run, got those of {', '.join(named) or 'none'}", fix=fix)
    return folders[0]


Point = tuple[float, int, str, float]
"""Wall time, step, tag, value."""


def _points(log: Any) -> Iterator[Point]:
    tags = log.Tags()
    for tag in tags["scalars"]:
        for event in log.Scalars(tag):
            yield float(event.wall_time), int(event.step), tag, float(event.value)
    for tag in tags["tensors"]:  # scalars as TensorFlow 2 writes them
        for event in log.Tensors(tag):
            value = _scalar(event.tensor_proto)
            if value is not None:
                yield float(event.wall_time), int(event.step), tag, value


def _scalar(proto: Any) -> float | None:
    """The one number of a tensor, or None for text and arrays; nothing larger is unpacked."""
    if math.prod(dim.size for dim in proto.tensor_shape.dim) != 1 or proto.dtype not in (1, 2):
        return None
    if len(proto.tensor_content) in (4, 8) or proto.float_val or proto.double_val:
        util = need("tensorboard.util.tensor_util", extra="readers", purpose="reading TensorBoard event files")
        return float(util.make_ndarray(proto).reshape(-1)[0])
    return None


def _rows(points: list[Point]) -> list[Row]:
    """Tags of one step that were logged together as one row, in the order of time."""
    rows: list[Row] = []
    start = points[0][0] if points else 0.0
    for wall, step, tag, value in points:
        last = rows[-1] if rows else None
        # Writers stamp the tags of one call apart; another step or the same tag again begins a new row.
        if last is not None and last.step == step and tag not in last.values:
            rows[-1] = Row(values={**last.values, tag: value}, step=step, t=last.t)
        else:
            rows.append(Row(values={tag: value}, step=step, t=wall - start))
    return epochs_filled([_with_epoch(row) for row in rows])


def _with_epoch(row: Row) -> Row:
    if "epoch" not in row.values:
        return row
    values = {tag: value for tag, value in row.values.items() if tag != "epoch"}
    return Row(values=values, epoch=row.values["epoch"], step=row.step, t=row.t)
