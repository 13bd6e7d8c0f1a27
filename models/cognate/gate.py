"""Memory as a gate (Titans' MAG): each channel takes a share of the backbone and the rest of the memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.cognate.linear import Linear


class MemoryGate(nn.Module):
    """``g = sigmoid(W_g relu(W_c [y; m]))``, ``g y + (1 - g) m``; d_mem (2 d + 1) + d (d_mem + 1) parameters."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.mix = Linear(2 * width, inner)
        self.open = Linear(inner, width)

    def forward(self, y: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """The mixture [B, T, d] of backbone y and memory m, both [B, T, d], and the gate [B, T, d] in 0..1."""
        gate = self.open(self.mix(torch.cat((y, m), dim=2)).relu()).sigmoid()
        return m + gate * (y - m), gate
