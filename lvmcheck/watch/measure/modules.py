"""What a model is made of, as far as watching it needs: modes, norms, ties, and biases that a norm makes useless."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import is_lazy

NORMS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm)


def leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules without children, in the order of definition."""
    return [(name, module) for name, module in model.named_modules() if not any(True for _ in module.children())]


def modal(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules that compute something else in train mode than in eval mode: dropout above 0, batch statistics."""
    return [(name, module) for name, module in model.named_modules() if _is_modal(module)]


def _is_modal(module: nn.Module) -> bool:
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, _BatchNorm | _InstanceNorm):
        return bool(module.track_running_stats)
    if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
        return float(module.dropout) > 0
    return False


def statistics(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Counters of batches of the model's norms, whose version tells whether running statistics were updated."""
    return [
        (name, module.num_batches_tracked)
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm | _InstanceNorm) and module.num_batches_tracked is not None
    ]


def tied(model: nn.Module) -> dict[str, list[str]]:
    """First name of each parameter that has several -> all its names."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {found[0]: found for found in names.values() if len(found) > 1}


def compiled(model: nn.Module) -> bool:
    """Whether torch.compile runs the model, or modules in it: those call no hooks, and are compiled anew for each."""
    return any("_orig_mod" in m._modules or vars(m).get("_compiled_call_impl") is not None for m in model.modules())


def own(module: nn.Module, name: str) -> nn.Parameter | None:
    """A parameter of the module itself; a parametrized one, which would be computed and may count it, is none."""
    return module._parameters.get(name)


def is_norm(module: nn.Module) -> bool:
    return isinstance(module, NORMS) or "norm" in type(module).__name__.lower()


def useless_biases(model: nn.Module) -> set[str]:
    """Biases that directly precede a norm, by definition order: their gradient is zero, or nothing but rounding."""
    order = [(name, module) for name, module in leaves(model) if not isinstance(module, nn.Identity)]
    found = set()
    for (name, module), (_, follower) in pairwise(order):
        if is_norm(follower) and own(module, "bias") is not None:
            found.add(f"{name}.bias" if name else "bias")
    return found


def depth_order(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Weight matrices of modules that are no embeddings, by name, in the order of definition."""
    for name, module in model.named_modules():
        weight = own(module, "weight")
        if weight is not None and weight.ndim > 1 and not isinstance(module, nn.Embedding):
            yield f"{name}.weight" if name else "weight", weight


def first_call(model: nn.Module, hook: Callable[[Callable[..., None]], Any], use: Callable[[Any], None]) -> Any:
    """Have ``use`` called once with what the model is given first while gradients are recorded; the hook's handle."""
    handle: Any = None

    def before(_module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if torch.is_grad_enabled():
            handle.remove()
            use((args, keywords))

    handle = model.register_forward_pre_hook(hook(before), with_kwargs=True)
    return handle


def once_made(model: nn.Module, hook: Callable[[Callable[..., None]], Any], use: Callable[[], None]) -> list[Any]:
    """Call ``use`` now, or after the forward pass that makes the last lazy parameter; the handles of hooks for that."""
    if not any(map(is_lazy, model.parameters())):
        use()
        return []

    def after(*_: Any) -> None:
        if not any(map(is_lazy, model.parameters())):
            handle.remove()
            use()

    handle = model.register_forward_hook(hook(after))
    return [handle]


def whole_branches(names: Iterable[str], silent: set[str], matrices: set[str], last: str) -> set[str]:
    """The silent parameters that belong to a module which is silent up to its own output.

    Units that died leave the bias of the layer behind them with a gradient and its weight without; what is not used at
    all leaves nothing half silent. So a part counts that has at least two matrices, or is the last layer, or any layer
    where no other is half silent.

    Args:
        names: all trainable parameters.
        silent: those without gradient.
        matrices: those of two axes and more.
        last: name of the last layer of the model.
    """
    inside: dict[str, list[str]] = {}
    for name in names:
        parts = name.split(".")
        for length in range(1, len(parts)):
            inside.setdefault(".".join(parts[:length]), []).append(name)
    whole = {prefix for prefix, held in inside.items() if silent.issuperset(held)}
    nothing_behind = all(name.rpartition(".")[0] in whole for name in silent & matrices)
    parts_of = {p for p in whole if p == last or len(matrices.intersection(inside[p])) > (0 if nothing_behind else 1)}
    return {name for prefix in parts_of for name in inside[prefix]}


def may_be_unused(name: str, leaves: set[str], used: Container[str] = ()) -> bool:
    """Whether a parameter without gradient may well be one that this training has no use for.

    It belongs to no layer, as the weight of an option that is off does; or to the pooler that encoders of sentences
    compute whether or not anybody wants it; or it is the bias of a layer whose weight is used by itself, as a tied one.
    """
    owner, _, own_name = name.rpartition(".")
    if own_name == "bias" and f"{owner}.weight" in used:
        return True
    return owner not in leaves or "pooler" in owner.split(".")
