"""Parameters at the leaves of a loss's graph that no optimizer holds, and that nothing else changes either."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lvmcheck.watch.alive import alive, held, own

NODES = 20_000
"""Nodes of a graph that are walked."""
MARKED, LEAST = 64, 64
"""Elements of a parameter by which a change of it is seen, and that tell whether it is as it was made."""
NEAR = 0.15
"""Relative distance of a standard deviation from that of the default initialisation."""


def leaves(loss: Tensor) -> list[Tensor]:
    """The tensors that a backward pass from here gives a gradient, each once."""
    seen: set[Any] = set()
    waiting: list[Any] = [loss.grad_fn]
    found: dict[int, Tensor] = {}
    while waiting and len(seen) < NODES:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            found[id(variable)] = variable
        waiting += [following for following, _ in node.next_functions]
    return list(found.values())


class Outside:
    """Parameters of a loss that are of no watched model and in no optimizer that is alive.

    Modules whose weights are other than PyTorch makes them, such as a pretrained network that a loss is measured with,
    are not meant: nobody trains them.
    """

    def __init__(self) -> None:
        self._first: dict[int, tuple[str, Tensor]] = {}
        self._known: dict[int, weakref.ref[Tensor]] = {}

    def look(self, loss: Tensor, model: nn.Module, optimizers: Iterable[Optimizer]) -> tuple[list[str], Tensor] | None:
        """Names of those that were there at an earlier look, and how far each has changed since, as [n].

        None where there are none, or this is the first look at them.
        """
        mine = own(model).union(*(held(optimizer) for optimizer in optimizers))
        found = [leaf for leaf in leaves(loss) if isinstance(leaf, nn.Parameter) and id(leaf) not in mine]
        met = [leaf for leaf in found if (known := self._known.get(id(leaf))) is not None and known() is leaf]
        before = [(leaf, *self._first[id(leaf)]) for leaf in met if id(leaf) in self._first]
        if len(met) < len(found):
            ids = set(map(id, met))
            self._meet([leaf for leaf in found if id(leaf) not in ids])
        if not before:
            return None
        return [name for _, name, _ in before], torch.stack([(_mark(p) - mark).abs().amax() for p, _, mark in before])

    def _meet(self, parameters: list[Tensor]) -> None:
        """Remember those that are in no optimizer at all, as they are now."""
        for parameter in parameters:
            self._known[id(parameter)] = weakref.ref(parameter)
            self._first.pop(id(parameter), None)
        there = alive(Optimizer, nn.Module)
        anywhere = set[int]().union(*(held(item) for item in there if isinstance(item, Optimizer)))
        loose = [parameter for parameter in parameters if id(parameter) not in anywhere]
        modules = [item for item in there if isinstance(item, nn.Module)] if loose else []
        for parameter in loose:
            owner = _owner(parameter, modules)
            if owner is None:
                name = f"parameter of shape {list(parameter.shape)}"
            elif as_made(owner[0], set(map(id, loose))):
                name = f"{type(owner[0]).__name__}.{owner[1]}"
            else:
                continue
            self._first[id(parameter)] = name, _mark(parameter)


def _mark(parameter: Tensor) -> Tensor:
    return parameter.detach().flatten()[:MARKED].double().clone()


def _owner(parameter: Tensor, modules: list[nn.Module]) -> tuple[nn.Module, str] | None:
    """The largest module that has this parameter, and its name there."""
    holders = [item for item in modules if any(p is parameter for p in item.parameters())]
    if not holders:
        return None
    largest = max(holders, key=lambda item: sum(1 for _ in item.modules()))
    return largest, next(name for name, p in largest.named_parameters() if p is parameter)


def as_made(module: nn.Module, among: set[int]) -> bool:
    """Whether weights are spread as PyTorch initialises them, in all layers whose parameters are among these, and there
    are enough to say so: a part of the module may be trained.
    """
    parts = [part for part in module.modules() if {id(p) for p in part.parameters(recurse=False)} <= among]
    known = [answer for part in parts if (answer := _layer_as_made(part)) is not None]
    return bool(known) and all(known)


def _layer_as_made(layer: nn.Module) -> bool | None:
    """None of a layer without weights, or with too few of them."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.Embedding)
    weight = getattr(layer, "weight_hh_l0" if isinstance(layer, nn.RNNBase) else "weight", None)
    if not isinstance(layer, kinds) or not isinstance(weight, Tensor) or weight.numel() < LEAST:
        return None
    values = weight.detach().float()
    if isinstance(layer, nn.Embedding):
        return abs(float(values.std()) - 1) < NEAR and abs(float(values.mean())) < NEAR
    fan = layer.hidden_size if isinstance(layer, nn.RNNBase) else values[0].numel()
    bound = 1 / math.sqrt(fan)
    inside = float(values.abs().amax()) <= bound * (1 + 1e-4)
    return inside and abs(float(values.std()) * math.sqrt(3) / bound - 1) < NEAR
