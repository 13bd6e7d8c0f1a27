"""Sizes of gradients by depth, of the whole gradient, and of the weights against where they began."""

from __future__ import annotations

import math
import statistics

import torch

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.modules import depth_order
from lvmcheck.watch.slot import Slot

LAYERS = 3
"""Layers with a weight matrix from which on depth means something."""
SMALL = 0.1
"""A weight that began below this share of 1 / sqrt(inputs) is expected to grow."""


class SizesCollector(Collector):
    """Reads the norms that the collector of movement took."""

    def start(self, watcher: Loop) -> None:
        shapes = dict(depth_order(watcher.model))
        self._order = list(shapes)
        self._counts = {name: float(weight.numel()) for name, weight in shapes.items()}
        self._least = {name: SMALL * math.sqrt(weight.shape[0]) for name, weight in shapes.items()}
        self._began: dict[str, float] = {}

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        if slot.measured is None:
            return
        names, grads, parameters = slot.measured
        count, scale = len(names), {} if slot.scale == 1 else {"scale": slot.scale}

        def use(numbers: list[float], step: int) -> None:
            gradients = dict(zip(names, numbers[:count], strict=True))
            norm = math.sqrt(math.fsum(n * n for n in numbers[:count]))
            watcher.emit("gradient_norm", {"norm": norm, **scale}, (), step)
            self._depth(watcher, gradients, step)
            self._weights(watcher, dict(zip(names, numbers[count:], strict=True)), step)

        watcher.later(torch.cat([grads, parameters]), use)

    def _depth(self, watcher: Loop, gradients: dict[str, float], step: int) -> None:
        """Root mean square gradient of the first third of the layers over that of the last."""
        layers = [name for name in self._order if name in gradients]
        sizes = [gradients[name] / math.sqrt(self._counts[name]) for name in layers]
        if len(layers) < LAYERS or not all(map(math.isfinite, sizes)):
            return
        third = len(layers) // 3
        first, last = statistics.median(sizes[:third]), statistics.median(sizes[-third:])
        if last > 0:
            values = {"first_over_last": first / last, "layers": len(layers), "first": first, "last": last}
            watcher.emit("depth", values, (layers[0], layers[-1]), step)

    def _weights(self, watcher: Loop, norms: dict[str, float], step: int) -> None:
        """Norms of the matrices over those at the first sample."""
        for name in self._order:
            if name in norms and name not in self._began:
                self._began[name] = norms[name]
        growth = {
            name: norms[name] / began
            for name, began in self._began.items()
            if name in norms and began > self._least[name] and math.isfinite(norms[name])
        }
        if growth:
            order = sorted(growth, key=growth.__getitem__)
            values = {"lowest": growth[order[0]], "highest": growth[order[-1]]}
            watcher.emit("weights", values, (order[0], order[-1]), step)
