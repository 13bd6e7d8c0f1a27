"""Floating point operations and bytes of a training step, counted from what torch really executes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.runtime.flops import Counter
from suites.throughput.interleave import Lane

Shape = Sequence[int]
ATEN = torch.ops.aten
ADAMW_PASSES = 7  # over the parameters: reads p, g, m, v and writes p, m, v
CLIP_PASSES = 3  # reads g for its norm, then reads and writes it to scale


def counted(step: Lane) -> int:
    """Floating point operations of products, convolutions and attention in ``step``: a multiplication and an addition
    are two. Element-wise work does not count.
    """
    with Counter() as counter:
        step()
    return counter.total


# -- the model's own products ------------------------------------------------------------------------------------------
class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every matrix product with the layout of its operands."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, list[Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (ATEN.mm.default, ATEN.addmm.default, ATEN.bmm.default, ATEN.baddbmm.default):
            self.calls.append((func, [_alike(arg) if isinstance(arg, Tensor) else arg for arg in args]))
        return func(*args, **(kwargs or {}))


def _alike(tensor: Tensor) -> Tensor:
    """Random numbers in the same layout, an expanded dimension staying one."""
    return torch.randn_like(tensor) if 0 not in tensor.stride() else tensor.detach().clone()


def own_products(step: Lane) -> tuple[Lane, int]:
    """The matrix products of ``step`` again, in their shapes and layouts and nothing else, and their operations.

    Kernels that hide their products (a fused LSTM) are in neither.
    """
    with _Products() as seen:
        step()

    def run() -> None:
        with torch.no_grad():
            for func, args in seen.calls:
                func(*args)

    return run, counted(run)


# -- memory traffic ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Traffic:
    """Bytes that one training step must move, each tensor counted once for each time that it is read or written.

    Attributes:
        parameters: read forward and backward. gradients: written once, and what clipping does with them.
        optimizer: its state, the parameters and gradients. activations: written forward and read backward.
        held: bytes of parameters, gradients, optimizer state and activations together.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    held: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.parameters + self.gradients + self.optimizer + self.activations


def traffic(model: nn.Module, forward: Lane, *, clipped: bool) -> Traffic:
    """Of a step of AdamW on ``model``.

    Args:
        forward: the forward pass, loss included; what it keeps for the backward pass are the activations.
        clipped: whether gradients are clipped.
    """
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    kept = activations(model, forward)
    gradients = size * (1 + (CLIP_PASSES if clipped else 0))
    return Traffic(2 * size, gradients, ADAMW_PASSES * size, 2 * kept, 4 * size + kept)


def activations(model: nn.Module, forward: Lane) -> int:
    """Bytes that ``forward`` keeps for the backward pass: storages, each once, without the parameters."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no other takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
