"""The live line of a run: sparkline, epoch, metrics, throughput, time left."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.run.events import Epoch
from lvmcheck.run.main_metrics import main_first
from lvmcheck.run.view import Run

BLOCKS = "▁▂▃▄▅▆▇█"
COLUMNS = ("curve", "epoch", "first", "second", "speed", "left")
"""Columns of :func:`live_cells`, in the order of a line."""
SHOWN = (("train_cosine", "train"), ("val_cosine", "val"), ("train_loss", "train loss"), ("val_loss", "val loss"))


def sparkline(values: Sequence[float], width: int = 20, *, ascii_only: bool = False) -> str:
    """The last ``width`` values as bars between their own minimum and maximum; a NaN shows as ``!``."""
    shown = list(values)[-width:]
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return "!" * len(shown)
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    bars = "._-=+*%#" if ascii_only else BLOCKS
    return "".join(bars[round((v - low) / span * 7)] if math.isfinite(v) else "!" for v in shown)


def live_cells(run: Run, *, ascii_only: bool = False, width: int = 20) -> dict[str, str]:
    """What is shown of a run while it goes on, by column: curve, epoch, the two main metrics, speed and time left."""
    ends = run.of(Epoch)
    planned = f"/{run.planned_epochs}" if run.planned_epochs else ""
    if not ends:
        window = run.windows[-1] if run.windows else None
        if window is None:
            return {"epoch": "starting"}
        return {
            "epoch": f"epoch 1{planned}",
            "first": f"step {window.last_step:,}",
            "second": f"loss {window.loss_mean:.4g}",
        }
    last = ends[-1]
    cells = {"epoch": f"epoch {last.epoch}{planned}"}
    shown = [f"{label} {short(last.metrics[name])}" for name, label in SHOWN if name in last.metrics]
    cells |= dict(zip(("first", "second"), shown, strict=False))
    speed = last.samples_per_second
    if speed:
        cells["speed"] = f"{speed / 1000:.1f}k/s" if speed >= 1000 else f"{speed:.0f}/s"
    left = seconds_left(run)
    if left is not None and not run.over and left > 0:
        cells["left"] = f"{duration(left)} left"
    metric = next(iter(main_first(last.metrics)), None)
    if metric:
        cells["curve"] = sparkline(list(run.series(metric).values), width, ascii_only=ascii_only)
    return cells


def live_line(run: Run, *, ascii_only: bool = False) -> str:
    """``▁▄▆▇  epoch 4/20  train .5512  val .5498  3.1k/s  48 s left``."""
    cells = live_cells(run, ascii_only=ascii_only)
    return "  ".join(cells[column] for column in COLUMNS if cells.get(column))


def seconds_left(run: Run) -> float | None:
    """Time to the planned end at the pace of the epochs so far."""
    ends = [event for event in run.of(Epoch) if event.seconds]
    if not ends or not run.planned_epochs:
        return None
    pace = sum(event.seconds or 0.0 for event in ends) / len(ends)
    return max(0.0, (run.planned_epochs - ends[-1].epoch) * pace)


def duration(seconds: float) -> str:
    """``48 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def short(value: float) -> str:
    """A cosine as ``.5512``; other numbers with 4 significant digits."""
    if math.isfinite(value) and abs(value) < 1:
        return f"{value:.4f}".replace("0.", ".", 1) if abs(value) >= 1e-2 else f"{value:.3g}"
    return f"{value:.4g}"
