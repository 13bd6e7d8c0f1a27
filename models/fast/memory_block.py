"""One piece of memory that several tensors share, so that one call can work on all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ALIGNED = 16  # float32 numbers in a cache line


class Block:
    """Zeros in the shapes of ``like``, one after the other, each from the beginning of a cache line on.

    Attributes:
        whole: [N], the parts and the zeros between them. parts: views of it.
    """

    def __init__(self, like: Sequence[Tensor]) -> None:
        lengths = [-(-tensor.numel() // ALIGNED) * ALIGNED for tensor in like]
        self.whole = torch.zeros(sum(lengths), dtype=like[0].dtype, device=like[0].device)
        pieces = torch.split(self.whole, lengths)
        self.parts = [piece[: t.numel()].view(t.shape) for piece, t in zip(pieces, like, strict=True)]

    def copy_(self, tensors: Sequence[Tensor]) -> None:
        """Takes their values."""
        for part, tensor in zip(self.parts, tensors, strict=True):
            part.copy_(tensor)

    def holds(self, tensors: Sequence[Tensor | None]) -> bool:
        """Whether they are the parts themselves."""
        return all(part is tensor for part, tensor in zip(self.parts, tensors, strict=True))
