"""One watched optimizer: its parameters by name, its steps, and the backward passes that reach it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lvmcheck.watch.guard import Guard
from lvmcheck.watch.measure.local import gradient, local
from lvmcheck.watch.measure.modules import useless_biases
from lvmcheck.watch.measure.norms import norms

TOLD = 8
"""First steps in which backward passes are told from each other."""
SENTINELS = 3
"""Parameters whose backward is counted: the smallest of the first, the middle and the last third."""


class Slot:
    """An optimizer and what happens between its steps.

    Attributes:
        steps: calls of ``step`` so far.
        backwards: backward passes that reached a sentinel since the last step, each counted once.
        without_backward: steps for which no parameter got a new gradient.
        announced: the loop says when gradients are complete (:meth:`Watcher.gradients_complete`): inside of ``step``.
        measured: names, norms of gradients and norms of parameters of the step that is measured, on the device.
        found_none: backward passes since the last step that found no gradient.
        arrived: norm of the gradient that the last backward pass brought to each sentinel.
        tasks: backward passes of the first steps that reached it, by the number that autograd gives them.
        scale: what a GradScaler multiplied the loss by.
        leftovers: name of a sentinel and norm of the gradient that a backward pass since the last step found in it.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, guard: Guard) -> None:
        self.optimizer = optimizer
        self._guard = guard
        self._model = model
        self.steps = 0
        self.backwards = 0
        self.ever = 0
        self.without_backward = 0
        self._cleared: set[str] = set()
        self.found_none = 0
        self.arrived: dict[str, Tensor] = {}
        self.tasks: set[int] = set()
        self.scale = 1.0
        self._nothing: dict[str, int] = {}
        self.closure = False
        self.announced = False
        self.leftovers: list[tuple[str, Tensor]] = []
        self.measuring = True
        self.measured: tuple[list[str], Tensor, Tensor] | None = None
        self._reused: tuple[tuple[int, int], ...] | None = None
        self._handles: list[Any] = []
        self._sentinels: list[tuple[str, nn.Parameter]] = []
        self._fired = False
        self._reached: dict[str, int] = {}
        self.refresh()
        self._began = self._count_changes()

    def refresh(self) -> None:
        """Read the groups again: parameters were added."""
        self.size = self._count()
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        pairs = [(name, p) for name, p in self._model.named_parameters() if id(p) in held]
        self.names = [name for name, _ in pairs]
        self.parameters = [parameter for _, parameter in pairs]

    def moved(self) -> bool:
        """Whether something has changed parameters in place: a step that calls no hooks, as a compiled one does."""
        return self._count_changes() != self._began

    def _count_changes(self) -> int:
        return sum(parameter._version for parameter in self.parameters)

    @property
    def changed(self) -> bool:
        """The groups hold more or fewer parameters than when they were read."""
        return self._count() != self.size

    def _count(self) -> int:
        return sum(len(group["params"]) for group in self.optimizer.param_groups)

    @property
    def rate(self) -> float:
        """The largest learning rate of the groups."""
        return max((float(group.get("lr", 1.0)) for group in self.optimizer.param_groups), default=0.0)

    def rates(self) -> dict[str, tuple[int, float]]:
        """Group and learning rate of each parameter by name."""
        groups = enumerate(self.optimizer.param_groups)
        of = {id(p): (i, float(group.get("lr", 1.0))) for i, group in groups for p in group["params"]}
        return {name: of[id(p)] for name, p in zip(self.names, self.parameters, strict=True) if id(p) in of}

    # -- backward passes -----------------------------------------------------------------------------------------------
    def attach(self) -> None:
        """Count backward passes from now on."""
        useless = useless_biases(self._model)
        pairs = zip(self.names, self.parameters, strict=True)
        trainable = [(name, p) for name, p in pairs if p.requires_grad and name not in useless]
        third = -(-len(trainable) // SENTINELS)
        self._sentinels = [
            min(trainable[start : start + third], key=lambda pair: pair[1].numel())
            for start in range(0, len(trainable), max(1, third))
        ]
        for name, sentinel in self._sentinels:
            count = self._guard.hook("backward passes", self._counting(name, sentinel))
            handle = sentinel.register_hook(count)  # type: ignore[no-untyped-call]
            self._handles.append(handle)

    def _counting(self, name: str, sentinel: nn.Parameter) -> Callable[[Tensor], None]:
        def count(found: Tensor) -> None:  # called before the new gradient is added to the old one
            self._fired = True
            if self.steps < TOLD:
                self.tasks.add(torch._C._current_graph_task_id())
            if self.measuring and not found.is_sparse:
                self.arrived[name] = norms([local(found)])[0]
            self._reached[name] = self._reached.get(name, 0) + 1
            self.backwards = max(self.backwards, self._reached[name])
            self._old(name, sentinel)

        return count

    def output_reached(self) -> None:
        """A backward pass begins, at the output: counts where hooks of parameters do not (FSDP)."""
        if not self._fired:
            self.backwards += 1
            for name, sentinel in self._sentinels:
                self._old(name, sentinel)

    def _old(self, name: str, sentinel: nn.Parameter) -> None:
        """What a backward pass found in place of no gradient."""
        if sentinel.grad is None:
            self._nothing[name] = self._nothing.get(name, 0) + 1
            self.found_none = max(self.found_none, self._nothing[name])
        if name in self._cleared:
            return
        if sentinel.grad is None:
            self._cleared.add(name)
        elif self.measuring:
            old = gradient(sentinel)
            if old is not None:
                self.leftovers.append((name, norms([old])[0]))

    @property
    def cleared(self) -> bool:
        """Since the last step, backward passes found no gradient from before it, in any sentinel that they reached."""
        return bool(self._cleared) and self._reached.keys() <= self._cleared

    # -- steps ---------------------------------------------------------------------------------------------------------
    def before_step(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """``step`` is about to run with these arguments."""
        self.closure = any(given is not None for given in (*args, keywords.get("closure")))
        self.ever += self.backwards
        if self.backwards == 0 and self._fired and not self.closure:
            if self._reused is not None and self._reused == self._gradients():
                self.without_backward += 1
            self._reused = ()  # from now on gradients are compared between steps

    def after_step(self) -> None:
        """``step`` has run."""
        self.steps += 1
        self.ever += self.backwards if self.closure else 0
        self.backwards = 0
        self._reached = {}
        self._cleared = set()
        self._nothing, self.found_none = {}, 0
        self.arrived = {}
        self.leftovers = []
        if self._reused is not None:
            self._reused = self._gradients()

    def _gradients(self) -> tuple[tuple[int, int], ...]:
        """Identity and version of every gradient: the same before a step as after the one before, if none was added."""
        return tuple((id(p.grad), p.grad._version) for p in self.parameters if p.grad is not None)

    def detach(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
