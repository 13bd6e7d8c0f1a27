"""One look at a few rows in eval mode, early in the run: rows that see each other, dropout that stays on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.apart import CannotTryError, few_rows, tried
from lvmcheck.watch.measure.batches import fingerprints, first_input
from lvmcheck.watch.measure.modules import compiled
from lvmcheck.watch.slot import Slot

AT = 2
"""Measured step after which the model is tried, on rows that differ from those of the step before."""


class ApartCollector(Collector):
    """Calls the model a few times more, once in a run, after a step; everything is put back."""

    def start(self, watcher: Loop) -> None:  # noqa: ARG002
        self._samples, self._done = 0, False
        self._first: Tensor | None = None
        self._inputs: Any = None

    def before_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        self._samples += 1

    def before_forward(self, watcher: Loop, inputs: Any) -> None:
        if self._done or self._inputs is not None or self._samples > AT + 4:
            return
        batch = first_input(inputs)
        if batch is None:
            return
        marks = fingerprints(batch, 8)
        if self._first is None:
            self._first, self._seen_at = marks, watcher.now
        elif watcher.now != self._seen_at and self._samples >= AT and not torch.equal(marks, self._first):
            try:
                self._inputs = few_rows(inputs)
            except CannotTryError as reason:
                self._cannot(watcher, str(reason))

    def after_step(self, watcher: Loop, slot: Slot) -> None:
        if self._inputs is None or self._done or slot is not watcher.slots[0]:
            return
        (inputs, rows), self._done = self._inputs, True
        self._inputs = None
        model = watcher.parts[0]
        if compiled(model) or (torch.distributed.is_available() and torch.distributed.is_initialized()):
            self._cannot(watcher, "the model is compiled or distributed")
            return
        try:
            found = tried(model, inputs, rows)
        except CannotTryError as reason:
            self._cannot(watcher, str(reason))
            return
        watcher.emit("evaluation_dropout", {"dropouts": float(found.dropouts)})
        if found.later is not None:
            watcher.emit("later_tokens", {"change": found.later})
        if found.change is None:
            self._cannot(watcher, "dimension 0 of the outputs may be no rows")
        else:
            watcher.emit("row_mixing", {"change": found.change, "rows": float(rows)})

    def _cannot(self, watcher: Loop, reason: str) -> None:
        self._done = True
        watcher.emit("row_mixing", {"tried": 0.0}, (reason,))
