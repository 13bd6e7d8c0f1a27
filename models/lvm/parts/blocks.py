"""A residual block around anything that maps a sequence to a sequence of the same width."""

from __future__ import annotations

from torch import Tensor, nn

NORMS = ("pre", "post")


class ResidualBlock(nn.Module):
    """``x + core(LN(x))`` with norm "pre", ``LN(x + core(x))`` with norm "post"; [B, T, width] to the same.

    Args:
        core: gives [B, T, width], alone or (as torch's recurrent layers do) first in a pair.
        width: of the LayerNorm.
        norm: one of :data:`NORMS`.
    """

    def __init__(self, core: nn.Module, width: int, *, norm: str) -> None:
        super().__init__()
        self.core = core
        self.norm = nn.LayerNorm(width)
        self.pre = norm == "pre"

    def forward(self, x: Tensor) -> Tensor:
        if self.pre:
            return x + self._mapped(self.norm(x))
        normed: Tensor = self.norm(x + self._mapped(x))
        return normed

    def _mapped(self, x: Tensor) -> Tensor:
        out = self.core(x)
        mapped: Tensor = out[0] if isinstance(out, tuple) else out
        return mapped


def gru_stack(width: int, layers: int, *, norm: str) -> nn.Sequential:
    """``layers`` residual blocks of one GRU each: the body of kind ``gru``, and of what the original project called
    Mamba2."""
    return nn.Sequential(
        *(ResidualBlock(nn.GRU(width, width, batch_first=True), width, norm=norm) for _ in range(layers))
    )
