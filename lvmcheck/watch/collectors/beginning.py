"""How the weights began: units of a layer that are equal and stay so, and activations that grow by orders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import first_input, tensors
from lvmcheck.watch.measure.modules import compiled, depth_order, leaves
from lvmcheck.watch.measure.outputs import rows_of
from lvmcheck.watch.slot import Slot

UNITS = 4
"""Units of a layer that is looked at."""
STEPS = 3
"""Measured steps after which units that began equal differ, unless they stay so."""
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class BeginningCollector(Collector):
    """Sizes of what layers compute on the first forward pass; differences between units after some steps."""

    def start(self, watcher: Loop) -> None:
        self._layers = (
            [] if compiled(watcher.model) else [(n, m) for n, m in leaves(watcher.model) if isinstance(m, LAYERS)]
        )
        self._handles: list[Any] = []
        self._sizes: list[tuple[str, Tensor]] = []
        self._inputs: Tensor | None = None
        self._looks = 0

    def before_sample(self, watcher: Loop) -> None:
        if watcher.now == 1 and len(self._layers) > 1:
            hook = partial(watcher.guard.hook, "first activations")
            self._handles = [layer.register_forward_hook(hook(self._hook(name))) for name, layer in self._layers]

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def after(_module: nn.Module, inputs: Any, output: Any) -> None:
            if not torch.is_grad_enabled() or len(self._sizes) >= len(self._layers):
                return
            given, found = first_input(inputs), next((t for t in tensors(output) if t.is_floating_point()), None)
            if given is None or found is None or not given.is_floating_point() or not found.numel():
                return
            with torch.no_grad():
                if self._inputs is None:
                    self._inputs = given.detach().float().square().mean().sqrt()
                self._sizes.append((name, found.detach().float().square().mean().sqrt()))

        return after

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        if slot is not watcher.slots[0]:
            return
        if self._inputs is not None and self._sizes:
            names = [name for name, _ in self._sizes]

            def use(numbers: list[float], step: int) -> None:
                top = max(range(1, len(numbers)), key=numbers.__getitem__)
                values = {"first": numbers[0], "largest": numbers[top], "last": numbers[-1], "layers": len(names)}
                watcher.emit("first_activations", values, [names[top - 1]], step)

            watcher.later([self._inputs, *[size.to(self._inputs.device) for _, size in self._sizes]], use)
            self._inputs = None
        self._looks += 1
        if self._looks > STEPS and self._looks & (self._looks - 1) == 0:
            self._units(watcher)

    def _units(self, watcher: Loop) -> None:
        """The layer whose units differ least, relative to their size."""
        held = {id(p) for slot in watcher.slots for p in slot.parameters if p.requires_grad and p.grad is not None}
        weights = [(n, w.detach()) for n, w in depth_order(watcher.model) if id(w) in held and len(w) >= UNITS]
        if not weights or any(hasattr(weight, "to_local") for _, weight in weights):
            return
        found = []
        for _, weight in weights:
            rows = rows_of(weight)
            found.append((rows - rows.mean(0)).norm() / rows.norm())
        names = [name for name, _ in weights]

        def use(numbers: list[float], step: int) -> None:
            known = [i for i, number in enumerate(numbers) if number == number]
            if known:
                least = min(known, key=numbers.__getitem__)
                watcher.emit("unit_spread", {"lowest": numbers[least], "layers": len(known)}, [names[least]], step)

        watcher.later(found, use)

    def after_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        for handle in self._handles:
            handle.remove()
        self._handles, self._sizes = [], []
