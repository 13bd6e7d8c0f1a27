"""One computation of the loss, seen from inside: calls of the model, and the operations between output and loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lvmcheck.watch.preflight.nested import leaves, mapped

LOSSES = frozenset(
    {
        *("cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"),
        *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "gaussian_nll_loss", "poisson_nll_loss", "kl_div"),
    }
)
ARITHMETIC = frozenset({"sub", "add", "mul", "div", "__sub__", "__rsub__", "rsub", "eq", "__eq__", "subtract"})
DROPOUTS = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"})
ATTENTION = "scaled_dot_product_attention"
_KEPT = LOSSES | ARITHMETIC | DROPOUTS | {"log", ATTENTION}


@dataclass
class Operation:
    """A call of a torch function that the probes look at.

    Attributes:
        inside: it happened within the model.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    inside: bool

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        return self.args[index] if len(self.args) > index else self.kwargs.get(name, default)


@dataclass
class Call:
    """An outermost call of the model, or of a part of it where the loss never calls the whole."""

    name: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    autocast: tuple[str, torch.dtype] | None

    @cached_property
    def names(self) -> dict[str, str]:
        """Name of the parameter of ``forward``, and what lies below it, -> path among the arguments."""
        positional = parameter_names(self.module)
        found = {}
        for path in leaves(self.args):
            index, _, rest = path.partition(".")
            name = positional[int(index)] if int(index) < len(positional) else index
            found[f"{name}.{rest}" if rest else name] = path
        return found | {path: path for path in leaves(self.kwargs)}

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Tensors by name."""
        tensors = {**leaves(self.args), **leaves(self.kwargs)}
        return {name: tensors[path] for name, path in self.names.items() if tensors[path].numel()}

    def run(self, tensors: dict[str, Tensor] | None = None) -> Any:
        """The call again, with some of its inputs replaced; with gradients where they are enabled."""
        changed = {self.names[name]: tensor for name, tensor in (tensors or {}).items()}

        def given(path: str, tensor: Tensor) -> Tensor:
            return changed[path] if path in changed else tensor.clone()

        args, kwargs = mapped(self.args, given), mapped(self.kwargs, given)
        if self.autocast is None:
            return self.module(*args, **kwargs)
        with torch.autocast(self.autocast[0], dtype=self.autocast[1]):
            return self.module(*args, **kwargs)


def parameter_names(module: nn.Module) -> list[str]:
    """Names of the positional parameters of ``forward``."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


@dataclass
class Trace:
    """What happened.

    Attributes:
        loss: the loss with its graph.
        calls: outermost calls of the model, in order.
        operations: those of interest, in order.
    """

    loss: Tensor
    calls: list[Call] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def of(self, *names: str, inside: bool | None = None) -> Iterator[Operation]:
        for operation in self.operations:
            if operation.name in names and inside in (None, operation.inside):
                yield operation


class _Mode(TorchFunctionMode):
    def __init__(self, depth: list[int]) -> None:
        super().__init__()
        self.depth = depth
        self.operations: list[Operation] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in _KEPT and (name not in ARITHMETIC or not self.depth[0]):
            self.operations.append(Operation(name, tuple(args), dict(kwargs or {}), result, bool(self.depth[0])))
        return result


def trace(model: nn.Module, compute: Callable[[], Tensor]) -> Trace:
    """Compute a loss and note what happens; the hooks are gone afterwards."""
    calls: list[Call] = []
    depth = [0]
    with _hooked(model, depth, calls), _Mode(depth) as mode:
        loss = compute()
    return Trace(loss, calls, mode.operations)


@contextmanager
def _hooked(model: nn.Module, depth: list[int], calls: list[Call]) -> Iterator[None]:
    handles: list[Any] = []
    try:
        for name, module in model.named_modules():
            handles += _hooks(name, module, depth, calls)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooks(name: str, module: nn.Module, depth: list[int], calls: list[Call]) -> Sequence[Any]:
    def before(_: nn.Module, args: Any, kwargs: Any) -> None:
        if not depth[0]:
            given = [mapped(part, lambda _, tensor: tensor.detach().clone()) for part in (args, kwargs)]
            calls.append(Call(name, module, given[0], given[1], None, _autocast(args, kwargs)))
        depth[0] += 1

    def after(_: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
        depth[0] = max(0, depth[0] - 1)
        if not depth[0] and calls:
            calls[-1].output = output

    return (
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, always_call=True),
    )


def _autocast(args: Any, kwargs: Any) -> tuple[str, torch.dtype] | None:
    device = next((tensor.device.type for tensor in leaves((args, kwargs)).values()), "cpu")
    if not torch.is_autocast_enabled(device):
        return None
    return device, torch.get_autocast_dtype(device)
