"""In which mode the model trains and is evaluated; sees every forward pass, so it does next to nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.leaving import leave_late
from lvmcheck.watch.measure.modules import modal, statistics

BETWEEN = 5
"""Steps without an evaluation after which forward passes without gradients are one; else they belong to training."""
LOOKED_AT = 8
"""Norms whose statistics are compared."""


class Modes:
    """Counts forward passes since the last step: with gradients (training), and without (evaluation).

    Attributes:
        between: an epoch, or an evaluation after several steps, has ended, and training has not gone on yet.
    """

    def __init__(self, model: nn.Module, parts: Sequence[nn.Module] = ()) -> None:
        self.parts = tuple(parts) or (model,)
        self.modal = modal(model)
        self._statistics = [buffer for _, buffer in statistics(model)[:LOOKED_AT]]
        self.forwards = self.train_forwards = 0
        self.seen = 0
        self.between, self._counted = True, False
        self._evaluated_at = 0
        self._reset()

    def _reset(self) -> None:
        self._evaluations = self._in_train_mode = self._updates = 0
        self._declared = False
        self._active: list[str] = []

    def before_forward(self, watcher: Loop) -> None:
        """A forward pass begins."""
        self.seen += 1
        leave_late()
        if torch.is_grad_enabled() and not watcher.evaluating:
            training = any(part.training for part in self.parts)
            self.forwards += 1
            self.train_forwards += training
            if self.forwards & (self.forwards - 1) == 0 and self.forwards >= 16:
                self._no_step(watcher)
            return
        self._evaluations += 1
        self._declared = self._declared or watcher.evaluating
        self._before = self._versions()
        self._counted = False
        if self.parts[0].training:
            self._trains(self.parts[0])

    def before_part(self, part: nn.Module) -> None:
        """Another part of the model is called: it may be left in train mode while the first is in eval mode."""
        if self._evaluations and not self._counted and part.training and not torch.is_grad_enabled():
            self._trains(part)

    def _trains(self, part: nn.Module) -> None:
        inside = {id(module) for module in part.modules()}
        active = [name for name, module in self.modal if module.training and id(module) in inside]
        if active or part is self.parts[0]:
            self._counted = True
            self._in_train_mode += 1
            self._active = self._active or active

    def after_forward(self) -> None:
        """It has ended."""
        if self._evaluations and not torch.is_grad_enabled():
            self._updates += self._versions() != self._before

    def _versions(self) -> list[int]:
        return [buffer._version for buffer in self._statistics]

    def _no_step(self, watcher: Loop, **more: float) -> None:
        """Many forward passes with gradients, and no step since."""
        slot = watcher.slots[0]
        if not slot.steps and slot.moved():
            return
        values = {"forwards": self.forwards, "backwards": slot.backwards, "steps": slot.steps}
        former = float(bool(slot.optimizer.state) and len(watcher.peers()) > 1 and not slot.steps)
        counts = {**values, "recorded": watcher.recorded, "without_backward": 0, "former": former}
        watcher.emit("step_calls", {**counts, **more})

    def close(self, watcher: Loop) -> None:
        """Watching ends."""
        if not watcher.slots[0].steps and watcher.slots[0].backwards:
            self._no_step(watcher, ended=1)
        for slot in watcher.slots[1:]:
            if not slot.steps and slot.backwards and watcher.slots[0].steps:
                values = {"forwards": self.forwards, "backwards": slot.backwards, "steps": 0, "ended": 1}
                watcher.emit("step_calls", {**values, "recorded": watcher.recorded, "without_backward": 0})
        self.end_of_evaluation(watcher, evaluated=False)

    def stepped(self, watcher: Loop) -> None:
        """An optimizer step is done."""
        self.forwards = self.train_forwards = 0
        if self._evaluations:
            if watcher.step - 1 - self._evaluated_at >= BETWEEN:
                self._say(watcher, watcher.step - 1)
            self._evaluated_at = watcher.step
            self._reset()

    def sampled(self, watcher: Loop) -> None:
        """A measured step is done."""
        if self.forwards:
            values = {"in_train_mode": self.train_forwards, "forwards": self.forwards, "modal": len(self.modal)}
            watcher.emit("train_mode", values, [name for name, _ in self.modal])

    def end_of_evaluation(self, watcher: Loop, *, evaluated: bool) -> None:
        """The loop reports an epoch; forward passes since the last step were an evaluation if it reports one."""
        if evaluated and not any(slot.backwards for slot in watcher.slots):
            self._evaluations += self.forwards
            self._in_train_mode += self.train_forwards
            if self.train_forwards and not self._active:
                self._active = [name for name, module in self.modal if module.training]
            self.forwards = self.train_forwards = 0
        if self._evaluations:
            self._declared = self._declared or evaluated
            self._say(watcher, watcher.step)
            self._evaluated_at = watcher.step
            self._reset()

    def _say(self, watcher: Loop, step: int) -> None:
        values = {
            "forwards": self._evaluations,
            "in_train_mode": self._in_train_mode,
            "modal": len(self._active),
            "statistics_changed": self._updates,
            "declared": float(self._declared),
        }
        watcher.emit("evaluation", values, self._active, step)
