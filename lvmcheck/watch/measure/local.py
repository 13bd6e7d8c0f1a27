"""Tensors as this process holds them."""

from __future__ import annotations

from torch import Tensor


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that lies in this process (of a DTensor its shard), outside of autograd."""
    tensor = tensor.detach()
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def gradient(tensor: Tensor) -> Tensor | None:
    """The gradient of a parameter as this process holds it; None where there is none, or a sparse one."""
    grad = tensor.grad
    if grad is None:
        return None
    grad = local(grad)
    return grad.coalesce().values() if grad.is_sparse else grad
