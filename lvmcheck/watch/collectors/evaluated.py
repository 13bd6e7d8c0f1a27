"""Rows that pass through the model in evaluations beside those of training: whether both have one scale."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import first_input
from lvmcheck.watch.measure.held import columns, scales

ROWS, LEAST = 256, 64
"""Rows of each side that are kept, and how many are needed."""


class EvaluatedCollector(Collector):
    """Keeps the first rows of training, and the first that pass without gradients; says once how they compare."""

    def start(self, watcher: Loop) -> None:
        self._trained: list[Tensor] = []
        self._seen: list[Tensor] = []
        self._watcher, self._done = watcher, False
        self._handle = watcher.parts[0].register_forward_pre_hook(
            watcher.guard.hook("evaluations", self._evaluates), with_kwargs=True
        )

    def before_forward(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        self._keep(self._trained, inputs)

    def _evaluates(self, module: nn.Module, args: Any, keywords: Any) -> None:
        if self._done or torch.is_grad_enabled() or module.training or not self._watcher.step:
            return
        self._keep(self._seen, (args, keywords))

    def _keep(self, rows: list[Tensor], inputs: Any) -> None:
        batch = None if self._done or sum(map(len, rows)) >= ROWS else first_input(inputs)
        if batch is not None and batch.is_floating_point() and batch.ndim > 1:
            rows.append(columns(batch, ROWS).clone())  # not a view that keeps the batch

    def evaluation_ended(self, watcher: Loop) -> None:
        if self._done or not self._seen:
            return
        enough = min(sum(map(len, rows)) for rows in (self._trained, self._seen)) >= LEAST
        widths = {part.shape[1] for part in (*self._trained, *self._seen)}
        self._done = True
        self._handle.remove()
        if enough and len(widths) == 1:
            found = scales(torch.cat(self._trained), torch.cat(self._seen))
            if found:
                watcher.emit("data_scale", {**found, "passed": 1.0}, (), watcher.step)

    def finish(self, watcher: Loop) -> None:  # noqa: ARG002
        self._handle.remove()
