"""One allocation for several tensors, so that one kernel call can process all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ALIGNED = 16  # float32 numbers in a cache line


class MemoryBlock:
    """Zero tensors in the shapes of ``like``, stored one after the other, each aligned to a cache line.

    Attributes:
        flat: [N], the parts and the zero padding between them. parts: views of it.
    """

    def __init__(self, like: Sequence[Tensor]) -> None:
        lengths = [-(-tensor.numel() // ALIGNED) * ALIGNED for tensor in like]
        self.flat = torch.zeros(sum(lengths), dtype=like[0].dtype, device=like[0].device)
        pieces = torch.split(self.flat, lengths)
        self.parts = [piece[: t.numel()].view(t.shape) for piece, t in zip(pieces, like, strict=True)]

    def copy_(self, tensors: Sequence[Tensor]) -> None:
        """Copies their values."""
        for part, tensor in zip(self.parts, tensors, strict=True):
            part.copy_(tensor)

    def holds(self, tensors: Sequence[Tensor | None]) -> bool:
        """Whether ``tensors`` are the parts themselves."""
        return all(part is tensor for part, tensor in zip(self.parts, tensors, strict=True))
