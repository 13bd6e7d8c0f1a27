"""A layer of the backbone: attention and SwiGLU, each after an RMSNorm and beside a residual path."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from models.cognate.attention import SelfAttention
from models.cognate.layout import Layout
from models.cognate.linear import Linear
from models.cognate.state import KeyValue

EPS = 1e-6  # of every RMSNorm (history 9)


class SwiGLU(nn.Module):
    """``W_down (silu(W_gate x) * W_up x)`` (Shazeer 2020) without biases; 3 d d_ff parameters, dropout at its end."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.gate_up = Linear(width, 2 * inner, bias=False)
        self.down = Linear(inner, width, bias=False)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, d] to the same."""
        gate, up = self.gate_up(x).chunk(2, dim=2)
        return F.dropout(self.down(F.silu(gate) * up), self.dropout, self.training)


class Layer(nn.Module):
    """``x + attention(norm(x))``, then ``x + swiglu(norm(x))`` (pre-norm); 4 d^2 + 3 d d_ff + 2 d parameters."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float, *, rotary: bool = False) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=EPS)
        self.attention = SelfAttention(width, heads, rotary=rotary)
        self.mlp_norm = nn.RMSNorm(width, eps=EPS)
        self.mlp = SwiGLU(width, inner, dropout)

    def forward(self, x: Tensor, layout: Layout, past: KeyValue | None) -> tuple[Tensor, KeyValue]:
        """[B, T, d] to the same, and the keys and values of all positions so far."""
        mixed, keys = self.attention(self.attention_norm(x), layout, past)
        x = x + mixed
        return x + self.mlp(self.mlp_norm(x)), keys
