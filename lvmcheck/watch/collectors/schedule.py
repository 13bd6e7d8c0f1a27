"""How far the learning rate scheduler is beside the optimizer."""

from __future__ import annotations

import math
from typing import Any

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop

HORIZONS = ("T_max", "total_steps", "num_training_steps")
"""Attributes of schedulers that state how many steps a schedule has in all."""


class ScheduleCollector(Collector):
    """Says it when an epoch ends, at sampled steps and at the end."""

    def start(self, watcher: Loop) -> None:
        self._scheduler = getattr(watcher.scheduler, "scheduler", watcher.scheduler)  # Accelerate wraps it
        self._began = self._calls()
        self._first = self._top = watcher.slots[0].rate
        self._epochs = 0
        self._rises = True

    def _calls(self) -> int:
        return int(getattr(self._scheduler, "last_epoch", 0) or 0)

    def epoch_ended(self, watcher: Loop, evaluated: bool) -> None:  # noqa: ARG002
        self._epochs += 1
        self._say(watcher)

    def after_sample(self, watcher: Loop) -> None:
        self._rises = self._rises and watcher.slots[0].rate >= self._top
        self._top = max(self._top, watcher.slots[0].rate)
        self._say(watcher)

    def finish(self, watcher: Loop) -> None:
        self._say(watcher, over=True)

    def _say(self, watcher: Loop, *, over: bool = False) -> None:
        if self._scheduler is None:
            return
        values: dict[str, float] = {
            "scheduler_steps": self._calls() - self._began,
            "optimizer_steps": watcher.now,
            "epochs": self._epochs,
            "share_of_rate": watcher.slots[0].rate / self._top if self._top > 0 else 0.0,
            "over": float(over),
            "rises": float(self._rises),
        }
        peak = max(map(float, getattr(self._scheduler, "base_lrs", ())), default=0.0)
        if peak > 0:
            values |= {"share_of_base": watcher.slots[0].rate / peak, "base": peak}
        patience = self._stated("patience")
        if patience is not None:
            values["patience"] = patience
        horizon = next((h for h in map(self._stated, HORIZONS) if h), None)
        if horizon is not None:
            values["horizon"] = horizon
        watcher.emit("schedule", values, (type(self._scheduler).__name__,))
        best, mode = self._stated("best"), getattr(self._scheduler, "mode", None)
        if best is not None and math.isfinite(best) and mode in ("min", "max"):
            watcher.emit("plateau", {"max": float(mode == "max"), "best": best})

    def _stated(self, name: str) -> float | None:
        value: Any = getattr(self._scheduler, name, None)
        return float(value) if isinstance(value, int | float) else None
