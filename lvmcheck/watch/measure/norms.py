"""Norms of many tensors at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The 2-norm of each tensor, float32 [n] on the device of the first; NaN and inf come through."""
    if not tensors:
        return torch.zeros(0, device="cpu")
    device = tensors[0].device
    if all(tensor.dtype == torch.float32 and tensor.device == device for tensor in tensors):
        return torch.stack(torch._foreach_norm(list(tensors)))  # the usual case, of which a small model feels each line
    found: list[Tensor] = [torch.zeros(0, device="cpu")] * len(tensors)
    for indices in groups(tensors):
        for i, norm in zip(indices, torch._foreach_norm([tensors[i] for i in indices]), strict=True):
            found[i] = norm.float() if norm.device == device else norm.float().to(device, non_blocking=True)
    return torch.stack(found)


def groups(tensors: Sequence[Tensor]) -> list[list[int]]:
    """Indices of tensors of one device and type, which a fused operation takes together."""
    alike: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for i, tensor in enumerate(tensors):
        alike.setdefault((tensor.device, tensor.dtype), []).append(i)
    return list(alike.values())
