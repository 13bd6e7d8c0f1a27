"""mlflow_files: a run of MLflow's file store (``mlruns/EXPERIMENT/RUN``), as MLflow wrote it before version 3."""

from __future__ import annotations

import math
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import run_of
from lvmcheck.readers._files import inside, lines, text
from lvmcheck.readers._numbers import NotANumberError, axis, number
from lvmcheck.readers._rows import Row, epochs_filled
from lvmcheck.run.view import Run

PATTERNS = ("metrics", "*/metrics", "*/*/metrics", "mlruns/*/*/metrics")


def reads(path: Path) -> bool:
    return bool(_runs(path))


def _runs(path: Path) -> list[Path]:
    """Folders of runs: the path itself, those of an experiment, or those of a whole store."""
    for pattern in PATTERNS:
        found = [place.parent for place in inside(path, pattern) if place.is_dir() and _is_run(place.parent)]
        if found:
            return found
    return []


def _is_run(folder: Path) -> bool:
    return (folder / "meta.yaml").is_file() and bool(inside(folder / "metrics", "**/*"))


def read(path: Path, asked: Asked | None = None) -> Run:
    """The metrics of one run; each has a file of lines "time value step".

    Raises:
        InputError: no run, several and none chosen, or a line that is not three numbers.
    """
    asked = asked or Asked()
    found = _runs(path)
    if asked.run is not None:
        found = [folder for folder in found if folder.name == asked.run]
    if len(found) != 1:
        names = ", ".join(folder.name for folder in _runs(path)[:8]) or "none"
        raise InputError(path, f"expected one run, got {names}", fix="Name one: --run ID." if names != "none" else None)
    folder = found[0]
    points = [point for file in inside(folder / "metrics", "**/*") if file.is_file() for point in _points(folder, file)]
    if not points:
        raise InputError(folder, "expected metrics, got none")
    config = {file.name: text(file).strip()[:1000] for file in inside(folder / "params", "*") if file.is_file()}
    rows = epochs_filled(_rows(sorted(points, key=lambda point: (point[1], point[0]))))
    return run_of(folder, rows, columns=asked.columns, info={"config": config, "run_id": folder.name})


def _points(folder: Path, file: Path) -> list[tuple[float, int, str, float]]:
    """Time in ms, step, name and value of each line."""
    name = str(file.relative_to(folder / "metrics"))
    points = []
    for line, said in lines(text(file)):
        cells = said.split()
        try:
            parsed = [number(cell) for cell in cells]
        except NotANumberError as problem:
            raise InputError(file, f"expected numbers, got {problem}", line=line) from None
        if len(parsed) not in (2, 3) or parsed[0] is None or parsed[1] is None:
            raise InputError(file, f"expected 'time value step', got {said[:60]!r}", line=line)
        step = axis(parsed[2] if len(parsed) == 3 else 0.0, "step", file, line) or 0
        points.append((parsed[0], step, name, parsed[1]))
    return points


def _rows(points: list[tuple[float, int, str, float]]) -> list[Row]:
    """Metrics of one step as one row; of a metric that was logged twice at a step the last counts."""
    origin = points[0][0]
    steps: dict[int, dict[str, float]] = {}
    times: dict[int, float] = {}
    for time, step, name, value in points:
        steps.setdefault(step, {})[name] = value
        times[step] = (time - origin) / 1000 if math.isfinite(time) else 0.0
    epochs = {step: values.pop("epoch", None) for step, values in steps.items()}
    return [Row(values=values, epoch=epochs[step], step=step, t=times[step]) for step, values in steps.items()]
