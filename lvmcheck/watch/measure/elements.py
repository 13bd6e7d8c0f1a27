"""A few evenly spaced elements of each parameter: enough to see by how much they move, without a copy of the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

COUNT = 64


def elements(tensors: Sequence[Tensor], count: int = COUNT) -> Tensor:
    """At most ``count`` elements of each tensor in one new float32 tensor."""
    if not tensors:
        return torch.zeros(0, device="cpu")
    device = tensors[0].device
    return torch.cat([_spaced(_real(t), count).to(device=device, dtype=torch.float32) for t in tensors])


def lengths(tensors: Sequence[Tensor], count: int = COUNT) -> list[int]:
    """How many elements :func:`elements` takes of each tensor."""
    return [len(range(0, tensor.numel(), _stride(tensor, count))) for tensor in map(_real, tensors)]


def rms_by_tensor(values: Tensor, taken: Sequence[int], roots: Tensor) -> Tensor:
    """Root mean square of the elements of each tensor, whose numbers' roots are given, float32 [n]."""
    return torch.stack(torch._foreach_norm(torch.split(values, list(taken)))) / roots


def _real(tensor: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _stride(tensor: Tensor, count: int) -> int:
    return max(1, -(-tensor.numel() // count) | 1)  # odd, so that it does not fall into step with rows of 2^n elements


def _spaced(tensor: Tensor, count: int) -> Tensor:
    flat = tensor.reshape(-1) if tensor.is_contiguous() else tensor.flatten()
    return flat[:: _stride(tensor, count)]
