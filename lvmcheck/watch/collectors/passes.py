"""The backward passes of one step: whether gradients were cleared between them, and which models they reach."""

from __future__ import annotations

import math
import statistics
from typing import Any

import torch
from torch import Tensor

from lvmcheck.run.events import MODELS
from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import fingerprints, first_input
from lvmcheck.watch.measure.local import gradient
from lvmcheck.watch.measure.norms import norms
from lvmcheck.watch.slot import Slot

SQUARES = ("exp_avg_sq", "square_avg", "sum", "exp_inf")
"""Names under which optimizers keep the squares by which they divide."""
TOLD = 4
"""Steps after which it is known which models a backward pass reaches."""
ROWS = 4
"""Rows of an input that tell it from others."""


class PassesCollector(Collector):
    """Compares the inputs of the forward passes of a step that has several backward passes."""

    def start(self, watcher: Loop) -> None:  # noqa: ARG002
        self._inputs: list[Tensor] = []
        self._searched = False

    def before_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        self._inputs, self._searched = [], False

    def before_forward(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        batch = first_input(inputs)
        if batch is not None:
            self._searched = self._searched or batch.requires_grad
            self._inputs.append(fingerprints(batch, ROWS))

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        """Adversarial inputs, and methods that look at one batch twice, clear gradients between passes on purpose."""
        self._clipped(watcher, slot)
        if watcher.step == TOLD:
            self._players(watcher)
        inputs, self._inputs = self._inputs, []
        if len(watcher.slots) != 1 or self._searched or len(inputs) < 2 or len(inputs) != slot.backwards:
            return
        counts = {"backwards": float(slot.backwards), "cleared": float(slot.found_none)}

        def use(numbers: list[float], step: int) -> None:
            marks, start = set(), 0
            for found in inputs:
                marks.add(tuple(numbers[start : start + len(found)]))
                start += len(found)
            if len(marks) == len(inputs):
                watcher.emit("passes", counts, (), step)

        watcher.later([number for found in inputs for number in found.double()], use)

    def _players(self, watcher: Loop) -> None:
        """Whether every backward pass reaches all models that are watched: they learn from one loss."""
        mine, peers = _tasks(watcher), [peer for peer in watcher.peers() if not peer.closed]
        if len(peers) > 1:
            joint = bool(mine) and all(_tasks(peer) == mine for peer in peers)
            watcher.emit(MODELS, {"models": len(peers), "joint": float(joint)})

    def _clipped(self, watcher: Loop, slot: Slot) -> None:
        """What is left at the step of the gradient that the only backward pass brought."""
        held = dict(zip(slot.names, slot.parameters, strict=True))
        arrived = {name: norm for name, norm in slot.arrived.items() if name in held}
        now = {name: gradient(held[name]) for name in arrived}
        if slot.backwards != 1 or not slot.cleared or not arrived or any(grad is None for grad in now.values()):
            return
        left = norms([grad for grad in now.values() if grad is not None])
        whole = torch.stack([arrived[name].to(left.device) for name in now])
        scale, adaptive = slot.scale, float(any(s in state for state in _states(slot) for s in SQUARES))

        def use(numbers: list[float], step: int) -> None:
            shares = [scale * a / b for a, b in zip(numbers[: len(now)], numbers[len(now) :], strict=True) if b > 0]
            if shares and all(map(math.isfinite, shares)):
                watcher.emit("clip", {"share": statistics.median(shares), "adaptive": adaptive}, (), step)

        watcher.later(torch.cat([left, whole.to(left)]), use)


def _tasks(watcher: Any) -> set[int]:
    return set().union(*(slot.tasks for slot in watcher.slots))


def _states(slot: Slot) -> list[dict[str, Any]]:
    """The state of one parameter, which tells what the optimizer keeps."""
    return [slot.optimizer.state[p] for p in slot.parameters[:1] if p in slot.optimizer.state]
