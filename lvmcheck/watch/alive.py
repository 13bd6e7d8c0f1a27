"""Models, optimizers and schedulers that are alive in this process, and which of them belong together."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def alive(*bases: type) -> list[Any]:
    """The objects of these classes, and of all that inherit from them, in this process; by far the cost of looking."""
    kinds: dict[int, type] = {}
    waiting = list(bases)
    while waiting:
        kind = waiting.pop()
        if id(kind) not in kinds:
            kinds[id(kind)] = kind
            waiting += type.__subclasses__(kind)
    return [item for item in gc.get_objects() if id(type(item)) in kinds]


def scheduler_of(holders: list[Optimizer], among: list[Any]) -> LRScheduler | None:
    """The scheduler of these optimizers; None where there is none, or one of several may be meant."""
    found = [item for item in among if any(getattr(item, "optimizer", None) is one for one in holders)]
    inner = {id(part) for item in found for part in getattr(item, "_schedulers", ())}
    outer = [item for item in found if id(item) not in inner]
    return outer[0] if len(outer) == 1 else None


def compiled_for(optimizer: Optimizer, among: list[Any]) -> list[nn.Module]:
    """The module that was compiled in place, so that its calls are not seen, and whose parameters these are."""
    made = [item for item in among if isinstance(item, nn.Module) and vars(item).get("_compiled_call_impl") is not None]
    found = [item for item in made if own(item) & held(optimizer)]
    return found if len(found) == 1 else []


def trained_without(optimizer: Optimizer, roots: list[nn.Module], among: list[Any]) -> list[nn.Module]:
    """The one module that gets gradients and is in no optimizer, beside an optimizer that has nothing of its own to do.

    None of its parameters gets a gradient, as after the model was made anew, or another optimizer holds the same.
    """
    others = [held(item) for item in among if isinstance(item, Optimizer) and item is not optimizer]
    idle = all(parameter.grad is None for group in optimizer.param_groups for parameter in group["params"])
    idle = idle or held(optimizer) in others
    everywhere = held(optimizer).union(*others)
    found = [
        root
        for root in roots
        if not own(root) & everywhere and any(parameter.grad is not None for parameter in root.parameters())
    ]
    return found if idle and len(found) == 1 else []


def own(module: nn.Module) -> set[int]:
    """The parameters of a module."""
    return {id(parameter) for parameter in module.parameters()}


def held(optimizer: Optimizer) -> set[int]:
    """The parameters of an optimizer."""
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


Part = tuple[nn.Module, list[Optimizer]]


def together(parts: list[Part]) -> list[list[Part]]:
    """Modules with the optimizers that hold them, those that share one together."""
    groups: list[list[Part]] = []
    for part in parts:
        ids = {id(item) for item in part[1]}
        joined = [group for group in groups if any(id(item) in ids for _, items in group for item in items)]
        groups = [group for group in groups if group not in joined]
        groups.append([*(one for group in joined for one in group), part])
    return groups


def whole(parts: list[nn.Module]) -> nn.Module:
    """The module that these belong to: the smallest that holds them all, else one that is made of them."""
    if len(parts) == 1:
        return parts[0]
    wanted = {id(part) for part in parts}
    holders = [item for item in alive(nn.Module) if wanted <= {id(module) for module in item.modules()}]
    return min(holders, key=lambda item: len(own(item)), default=None) or boxed(parts)


def parts_of(model: nn.Module, called: Iterable[nn.Module]) -> list[nn.Module]:
    """The modules among these that stand for calls of the model: none where it is called itself, and none twice."""
    parts = [item for item in called if isinstance(item, nn.Module)]
    if any(item is model for item in parts):
        return []
    inner = {id(module) for item in parts for module in item.modules() if module is not item}
    return [item for item in parts if id(item) not in inner]


def boxed(parts: Iterable[nn.Module]) -> nn.Module:
    """Modules that are called one by one and trained as one."""
    box = nn.ModuleDict()
    for part in parts:
        name, number = type(part).__name__, 2
        while name in box:
            name, number = f"{type(part).__name__}_{number}", number + 1
        box[name] = part
    return box
