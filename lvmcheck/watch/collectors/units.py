"""Units that get no gradient: every bias element whose gradient was exactly zero in several sampled steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.local import gradient
from lvmcheck.watch.measure.modules import leaves, own, useless_biases
from lvmcheck.watch.slot import Slot

STEPS = 5
"""Sampled steps over which a unit must get no gradient."""
LEAST = 8
"""Units of a layer that is looked at."""


class UnitsCollector(Collector):
    """Layers with a bias, except the last one: a unit behind a ReLU that is never active has a gradient of zero."""

    def start(self, watcher: Loop) -> None:
        useless = useless_biases(watcher.model)
        kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
        layers = [(f"{name}.bias", m) for name, m in leaves(watcher.model) if isinstance(m, kinds)]
        self._head = list(layers[-1][1].parameters()) if layers else []
        held = [(name, own(m, "bias"), own(m, "weight")) for name, m in layers[:-1] if name not in useless]
        known = [(name, bias, weight) for name, bias, weight in held if bias is not None and weight is not None]
        self._biases = [(name, bias) for name, bias, _ in known if bias.numel() >= LEAST]
        self._weights = {name: weight for name, _, weight in known}
        self._alive: dict[str, Tensor] = {}
        self._any: list[Tensor] = []
        self._count = 0

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        if slot is not watcher.slots[0] or not self._biases:
            return
        found = [(name, grad) for name, bias in self._biases if (grad := gradient(bias)) is not None]
        ends = [grad for parameter in self._head if (grad := gradient(parameter)) is not None]
        self._any += [(grad != 0).any() for grad in ends]
        for name, grad in found:
            alive = grad != 0
            self._alive[name] = alive | self._alive[name] if name in self._alive else alive
        self._count += bool(found)
        if self._count >= STEPS:
            self._say(watcher)
            self._alive, self._any, self._count = {}, [], 0

    def _say(self, watcher: Loop) -> None:
        """Nothing where no gradient came out of the loss at all: that says nothing of the units."""
        names = list(self._alive)
        begins = torch.stack([*self._any, *(alive.any() for alive in self._alive.values())]).any()

        def use(numbers: list[float], step: int) -> None:
            if not numbers.pop():
                return
            worst = max(range(len(names)), key=numbers.__getitem__)
            watcher.emit("dead_units", {"share": numbers[worst], "layers": len(names)}, [names[worst]], step)

        shares = [self._share(name, alive) for name, alive in self._alive.items()]
        watcher.later(torch.stack([*shares, begins.float()]), use)

    def _share(self, name: str, alive: Tensor) -> Tensor:
        """Share of units without gradient; 0 where the whole bias has none and the weight has: it has no effect."""
        grad = gradient(self._weights[name])
        effective = alive.any() | (grad == 0).all() if grad is not None else alive.any()
        return (1 - alive.float().mean()) * effective
