"""Inputs of the model beside the batch that are 0 in every batch, and columns with a number for missing values."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import tensors
from lvmcheck.watch.measure.far_values import BATCHES, KEYS, far_value, table_of

MOST = 6
"""Inputs that are looked at."""


class ArgumentsCollector(Collector):
    """Remembers which of them was ever another number: a time, a label or a noise level that a model is told."""

    def start(self, watcher: Loop) -> None:  # noqa: ARG002
        self._other: dict[int, Tensor] = {}
        self._whole: set[int] = set()
        self._samples = 0
        self._tables: list[Tensor] = []

    def before_forward(self, watcher: Loop, inputs: Any) -> None:
        given = list(tensors(inputs))[:MOST]
        if len(self._tables) < BATCHES and (table := table_of(given)) is not None:
            self._tables.append(table)
            if len(self._tables) == BATCHES:
                self._say_far_value(watcher)
        if not given or not given[0].ndim or len(given[0]) < 2:
            return
        rows = len(given[0])
        self._samples += 1
        for place, tensor in enumerate(given[1:], 1):
            if tensor.shape in ((rows,), (rows, 1)) and not tensor.is_sparse:
                self._whole |= {place} if not tensor.is_floating_point() else set()
                other = (tensor.detach() != 0).any()
                self._other[place] = other | self._other[place] if place in self._other else other

    def _say_far_value(self, watcher: Loop) -> None:
        found = far_value(self._tables)
        self._tables = [table[:0] for table in self._tables]
        if found is not None:

            def use(numbers: list[float], step: int) -> None:
                watcher.emit("far_value", dict(zip(KEYS, numbers, strict=True)), (), step)

            watcher.later(found, use)

    def finish(self, watcher: Loop) -> None:
        if self._other:
            zero = [f"input {place + 1}" for place, other in self._other.items() if not bool(other)]
            numbers = sum(not bool(other) for place, other in self._other.items() if place not in self._whole)
            values = {"inputs": len(self._other), "zero": len(zero), "floats": numbers, "samples": self._samples}
            watcher.emit("arguments", values, zero, watcher.step)
