"""What modules compute on a sampled step: the first that makes a NaN, and saturated units of tanh and sigmoid."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import tensors
from lvmcheck.watch.measure.modules import compiled, leaves
from lvmcheck.watch.slot import Slot

OUTER = 0.95
"""Share of the range beyond which an output is saturated (the outer 5 %)."""
ALWAYS = 0.9
"""Share of a batch on which a unit must be saturated."""
PASSES = 16
"""Forward passes of one step whose modules are looked at."""


class ActivationsCollector(Collector):
    """Puts hooks on modules without children for the length of a sampled step."""

    def start(self, watcher: Loop) -> None:
        self._leaves = leaves(watcher.model)
        self._handles: list[Any] = []
        self._order: list[str] = []
        self._extremes: list[Tensor] = []
        self._saturation: dict[str, Tensor] = {}
        self._parameters: Tensor | None = None

    def before_sample(self, watcher: Loop) -> None:
        for slot in watcher.slots:
            slot.measured = None
        if compiled(watcher.model):
            return
        hook = partial(watcher.guard.hook, "activations")
        self._handles = [module.register_forward_hook(hook(self._hook(name))) for name, module in self._leaves]

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def after(module: nn.Module, _inputs: Any, output: Any) -> None:
            if not torch.is_grad_enabled() or len(self._order) >= PASSES * len(self._leaves):
                return
            found = next((t for t in tensors(output) if t.is_floating_point() and t.numel()), None)
            if found is None:
                return
            with torch.no_grad():
                low, high = found.detach().aminmax()
                self._order.append(name)
                self._extremes += [low, high]
                if isinstance(module, nn.Tanh | nn.Sigmoid) and found.ndim > 1:
                    self._saturation[name] = _saturated(module, found.detach())

        return after

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        if slot.measured is None:
            return
        (names, grads, parameters), modules = slot.measured, list(self._order)
        extremes = [value.float().to(grads.device) for value in self._extremes]
        values = torch.cat([parameters, grads, torch.stack(extremes) if extremes else grads[:0]])

        def use(numbers: list[float], step: int) -> None:
            bad = [not abs(number) < float("inf") for number in numbers]
            count, pairs = len(names), bad[2 * len(names) :]
            in_parameters = [name for name, is_bad in zip(names, bad[:count], strict=True) if is_bad]
            in_gradients = [name for name, is_bad in zip(names, bad[count : 2 * count], strict=True) if is_bad]
            in_modules = [name for i, name in enumerate(modules) if pairs[2 * i] or pairs[2 * i + 1]]
            counts = {"modules": len(in_modules), "parameters": len(in_parameters), "gradients": len(in_gradients)}
            # Backward goes from the last module to the first: the last bad gradient is the first that was made.
            first = in_parameters[:1] or in_modules[:1] or in_gradients[-1:]
            watcher.emit("finite", {**counts, "values": len(bad)}, first, step)

        watcher.later(values, use)
        self._order, self._extremes = [], []
        if self._saturation:
            self._saturated(watcher)

    def _saturated(self, watcher: Loop) -> None:
        last = self._leaves[-1][0]
        shares = {name: share for name, share in self._saturation.items() if name != last}
        self._saturation = {}
        names = list(shares)

        def use(numbers: list[float], step: int) -> None:
            order = sorted(range(len(names)), key=lambda i: -numbers[i])
            values = {"highest": numbers[order[0]], "modules": len(names)}
            watcher.emit("saturation", values, [names[order[0]]], step)

        if names:
            watcher.later(list(shares.values()), use)

    def after_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        for handle in self._handles:
            handle.remove()
        self._handles, self._order, self._extremes, self._saturation = [], [], [], {}


def _saturated(module: nn.Module, output: Tensor) -> Tensor:
    """Share of units that are saturated on nearly every row."""
    range_ = output.abs() if isinstance(module, nn.Tanh) else (2 * output - 1).abs()
    return ((range_ > OUTER).float().flatten(1).mean(0) >= ALWAYS).float().mean()
