"""What an optimizer makes of gradients: rounding in half precision, an epsilon that dominates, weight decay."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.elements import elements
from lvmcheck.watch.measure.local import gradient, local
from lvmcheck.watch.measure.norms import norms
from lvmcheck.watch.slot import Slot

COARSE = (torch.bfloat16, torch.float16)
SQUARES = ("exp_avg_sq", "square_avg")
"""Names under which optimizers keep the mean of squared gradients."""
EARLY = 24
"""Measured steps in which epsilons and decay are compared: later on gradients may vanish because all is learned."""
COUPLED = (torch.optim.Adam, torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop, torch.optim.Adagrad)
"""Optimizers that add the decay to the gradient, which they then rescale."""


class PrecisionCollector(Collector):
    """A few elements of each parameter before and after a step; what groups state."""

    def start(self, watcher: Loop) -> None:  # noqa: ARG002
        self._before: dict[int, tuple[list[Tensor], Tensor, Tensor]] = {}
        self._looks: dict[int, int] = {}
        self._top = 0.0

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        if slot.closure:
            return
        if self._looks.get(id(slot), 0) < EARLY:
            self._coupled_decay(watcher, slot)
        held = [(local(p), gradient(p)) for p in slot.parameters if p.dtype in COARSE and p.grad is not None]
        pairs = [(p, grad) for p, grad in held if grad is not None and grad.shape == p.shape]
        if pairs:
            parameters = [p for p, _ in pairs]
            self._before[id(slot)] = (parameters, elements(parameters), elements([grad for _, grad in pairs]))

    def after_step(self, watcher: Loop, slot: Slot) -> None:
        before = self._before.pop(id(slot), None)
        if before is not None and slot.rate > 0:
            parameters, old, grads = before
            self._top = max(self._top, slot.rate)
            share_of_rate = slot.rate / self._top
            pulled = grads != 0
            lost = ((elements(parameters) == old) & pulled).float().sum() / pulled.float().sum().clamp_min(1)

            def use(numbers: list[float], step: int) -> None:
                values = {"share": numbers[0], "elements": numbers[1], "share_of_rate": share_of_rate}
                watcher.emit("rounding", values, (), step)

            watcher.later([lost, pulled.float().sum()], use)
        looks = self._looks[id(slot)] = self._looks.get(id(slot), 0) + 1
        if looks <= EARLY:
            self._epsilon(watcher, slot)
        self._decay(watcher, slot)

    def _epsilon(self, watcher: Loop, slot: Slot) -> None:
        """Epsilon over the root of the second moment, in the middle of all elements that have one."""
        found: list[Tensor] = []
        for group in slot.optimizer.param_groups:
            eps = group.get("eps")
            if not isinstance(eps, float | int) or not eps > 0:
                continue
            moments = [(s, slot.optimizer.state.get(p, {})) for p in group["params"] for s in SQUARES]
            known = [(state[s], state.get("step", 1)) for s, state in moments if isinstance(state.get(s), Tensor)]
            if known:
                correction = _corrected(group, known[0][1])
                roots = elements([local(square) for square, _ in known]).div(correction).sqrt()
                found.append(torch.where(roots > 0, float(eps) / roots, torch.nan))
        if not found:
            return

        def use(numbers: list[float], step: int) -> None:
            if numbers[0] == numbers[0]:
                watcher.emit("epsilon", {"over_root": numbers[0]}, (), step)

        watcher.later([torch.cat(found).nanmedian()], use)

    def _coupled_decay(self, watcher: Loop, slot: Slot) -> None:
        """What decay adds to the gradient, over the gradient of the loss: the largest of all groups."""
        found: list[Tensor] = []
        for group in slot.optimizer.param_groups:
            decay = group.get("weight_decay")
            if not isinstance(decay, float | int) or not decay > 0 or not _coupled(slot.optimizer, group):
                continue
            pairs = [(local(p), grad) for p in group["params"] if (grad := gradient(p)) is not None]
            if pairs:
                weights, grads = (norms(list(side)).square().sum().sqrt() for side in zip(*pairs, strict=True))
                found.append(float(decay) * weights / grads.clamp_min(1e-30))
        if found:

            def use(numbers: list[float], step: int) -> None:
                watcher.emit("decay", {"over_gradient": max(numbers)}, (), step)

            watcher.later(found, use)

    def _decay(self, watcher: Loop, slot: Slot) -> None:
        """The share of a weight that decay takes in one step."""
        shares = [
            float(group["lr"]) * float(group["weight_decay"])
            for group in slot.optimizer.param_groups
            if group.get("weight_decay") and "lr" in group and not _coupled(slot.optimizer, group)
        ]
        if shares:
            watcher.emit("decay", {"per_step": max(shares)})


def _corrected(group: dict[str, Any], step: Any) -> float:
    """What divides a second moment that began at zero."""
    betas = group.get("betas")
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        alpha = float(group.get("alpha", 0.0))
        return float(max(1e-12, 1 - alpha ** max(1.0, float(step))))
    return float(max(1e-12, 1 - float(betas[1]) ** max(1.0, float(step))))


def _coupled(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> bool:
    return isinstance(optimizer, COUPLED) and not (
        isinstance(optimizer, torch.optim.AdamW) or group.get("decoupled_weight_decay")
    )
