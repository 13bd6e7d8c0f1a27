"""Modules like the watched one, such as its average over steps, and whether they are called without gradients."""

from __future__ import annotations

import gc
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from lvmcheck.watch.guard import Guard


class Twins:
    """Looks for them once, in the whole process, and sees their calls from then on.

    Attributes:
        there: whether there is one.
    """

    def __init__(self, model: nn.Module, guard: Guard) -> None:
        own, shapes = {id(module) for module in model.modules()}, _shapes(model)
        among = (item for item in gc.get_objects() if issubclass(type(item), nn.Module) and id(item) not in own)
        hook = guard.hook("modules like the model", self._sees)
        parameters = {id(parameter) for parameter in model.parameters()}
        self._handles = [
            module.register_forward_pre_hook(hook)
            for module in among
            if shapes and _shapes(module) == shapes and not parameters & {id(p) for p in module.parameters()}
        ]
        self.there = bool(self._handles)
        self._calls, self._asked = 0, False

    def _sees(self, _module: nn.Module, _inputs: Any) -> None:
        self._calls += not torch.is_grad_enabled()

    def asked(self) -> bool:
        """Whether calls were seen before this question."""
        before, self._asked = self._asked, True
        return before

    def called(self) -> bool:
        """Whether one of them was called since this was asked last."""
        calls, self._calls = self._calls, 0
        return calls > 0

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()


def _shapes(module: nn.Module) -> list[tuple[int, ...]]:
    registered = vars(module).get("_parameters"), vars(module).get("_modules")
    if None in registered or any(is_lazy(p) for p in module.parameters()):  # it is being made
        return []
    return [tuple(parameter.shape) for parameter in module.parameters()]
