"""Which parameters of a model its optimizers hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Coverage:
    """Names of parameters; ``foreign`` are those of the optimizers that the model does not have.

    Attributes:
        trainable: parameters with ``requires_grad``.
        missing: trainable, and in no group.
        twice: in more than one group, or twice in one.
        frozen: in a group, without ``requires_grad``.
        foreign: ``group 0, parameter 3, shape [4, 8]``.
        replaced: of the foreign ones, those of the shape of a missing one: the optimizer holds a former copy.
    """

    trainable: tuple[str, ...]
    missing: tuple[str, ...]
    twice: tuple[str, ...]
    frozen: tuple[str, ...]
    foreign: tuple[str, ...]
    replaced: int


def coverage(model: nn.Module, optimizers: Sequence[Optimizer]) -> Coverage:
    """Which parameters of the model the optimizers hold, by identity."""
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    held = [
        (f"group {g}, parameter {i}, shape {list(parameter.shape)}", parameter)
        for optimizer in optimizers
        for g, group in enumerate(optimizer.param_groups)
        for i, parameter in enumerate(group["params"])
    ]
    counts: dict[int, int] = {}
    for _, parameter in held:
        counts[id(parameter)] = counts.get(id(parameter), 0) + 1
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    missing = [(name, p) for name, p in trainable if id(p) not in counts]
    foreign = [(place, p) for place, p in held if id(p) not in named]
    return Coverage(
        trainable=_names(trainable),
        missing=_names(missing),
        twice=tuple(named.get(key, "a parameter of no module") for key, count in counts.items() if count > 1),
        frozen=tuple(named[id(p)] for _, p in held if id(p) in named and not p.requires_grad),
        foreign=_names(foreign),
        replaced=_matching([tuple(p.shape) for _, p in foreign], [tuple(p.shape) for _, p in missing]),
    )


def unregistered(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that stand in a plain list, tuple or dictionary of a module: the model does not know of them.

    ``self.experts = [nn.Linear(8, 8)]`` in place of ``nn.ModuleList``: ``model.parameters()`` has none of its weights.
    """
    known = {id(parameter) for parameter in model.parameters()}
    found: dict[str, nn.Parameter] = {}
    for owner, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute.startswith("_") or not isinstance(value, list | tuple | dict):
                continue
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                place = f"{owner}.{attribute}[{key!r}]" if owner else f"{attribute}[{key!r}]"
                if isinstance(item, nn.Parameter):
                    found[place] = item
                elif isinstance(item, nn.Module):
                    found |= {f"{place}.{name}": parameter for name, parameter in item.named_parameters()}
    return {name: parameter for name, parameter in found.items() if id(parameter) not in known}


def _names(pairs: Iterable[tuple[str, object]]) -> tuple[str, ...]:
    return tuple(name for name, _ in pairs)


def _matching(shapes: list[tuple[int, ...]], others: list[tuple[int, ...]]) -> int:
    """How many of the shapes occur among the others, each once."""
    left, count = list(others), 0
    for shape in shapes:
        if shape in left:
            left.remove(shape)
            count += 1
    return count
