"""Dropout that stays on in the loop's own evaluations, whatever rows the model takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.apart import Dropouts
from lvmcheck.watch.measure.ledger import compiling
from lvmcheck.watch.measure.modules import compiled

PASSES = 3
"""Forward passes of evaluations that are looked at."""


def _meant(model: nn.Module) -> bool:
    """Whether dropouts alone are in train mode, which somebody must have done: an average over draws is evaluated."""
    training = [module for module in model.modules() if module.training]
    return bool(training) and all(isinstance(module, nn.modules.dropout._DropoutNd) for module in training)


class DropoutsCollector(Collector):
    """Counts calls of dropout with ``training=True`` in forward passes without gradients of a model in eval mode."""

    def start(self, watcher: Loop) -> None:
        self._watcher, self._left = watcher, PASSES
        self._mode: Any = None
        model = watcher.parts[0]
        self._handles = [
            model.register_forward_pre_hook(watcher.guard.hook("dropout of evaluations", self._before)),
            model.register_forward_hook(watcher.guard.hook("dropout of evaluations", self._after), always_call=True),
        ]

    def _before(self, module: nn.Module, _inputs: Any) -> None:
        if self._left and not (
            torch.is_grad_enabled() or module.training or _meant(module) or compiled(module) or compiling()
        ):
            mode: Any = Dropouts()
            self._mode = mode.__enter__()

    def _after(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        mode, self._mode = self._mode, None
        if mode is None:
            return
        mode.__exit__(None, None, None)
        self._left -= 1
        if mode.on:
            self._left = 0
            self._watcher.emit("evaluation_dropout", {"dropouts": float(mode.on)}, (), self._watcher.step)
        if not self._left:
            self.finish(self._watcher)

    def finish(self, watcher: Loop) -> None:  # noqa: ARG002
        for handle in self._handles:
            handle.remove()
