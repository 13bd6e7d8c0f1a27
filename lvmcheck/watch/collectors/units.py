"""Units that get no gradient: every bias element whose gradient was exactly zero in several sampled steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.measure.local import gradient
from lvmcheck.watch.measure.modules import leaves, useless_biases

if TYPE_CHECKING:
    from lvmcheck.watch.slot import Slot
    from lvmcheck.watch.watcher import Watcher

STEPS = 5
"""Sampled steps over which a unit must get no gradient."""
LEAST = 8
"""Units of a layer that is looked at."""


class UnitsCollector(Collector):
    """Layers with a bias, except the last one: a unit behind a ReLU that is never active has a gradient of zero."""

    def start(self, watcher: Watcher) -> None:
        useless = useless_biases(watcher.model)
        kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
        layers = [(f"{name}.bias", m.bias) for name, m in leaves(watcher.model) if isinstance(m, kinds)][:-1]
        self._biases = [(n, b) for n, b in layers if b is not None and n not in useless and b.numel() >= LEAST]
        self._alive: dict[str, Tensor] = {}
        self._count = 0

    def before_step(self, watcher: Watcher, slot: Slot) -> None:
        if slot is not watcher.slots[0] or not self._biases:
            return
        found = [(name, grad) for name, bias in self._biases if (grad := gradient(bias)) is not None]
        for name, grad in found:
            alive = grad != 0
            self._alive[name] = alive | self._alive[name] if name in self._alive else alive
        self._count += bool(found)
        if self._count >= STEPS:
            self._say(watcher)
            self._alive, self._count = {}, 0

    def _say(self, watcher: Watcher) -> None:
        names = list(self._alive)

        def use(numbers: list[float], step: int) -> None:
            worst = max(range(len(names)), key=numbers.__getitem__)
            watcher.emit("dead_units", {"share": numbers[worst], "layers": len(names)}, [names[worst]], step)

        watcher.later(torch.stack([1 - alive.float().mean() for alive in self._alive.values()]), use)
