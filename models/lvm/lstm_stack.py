"""The stacked LSTM of 29 October: residual blocks of one LSTM each (history 2)."""

from __future__ import annotations

from torch import Tensor, nn

from models.lvm.parts.blocks import ResidualBlock
from models.lvm.parts.vector_model import Variant, VectorModel


class LSTMStack(VectorModel):
    """``raw = out(h_T)`` with ``h`` the context mapped by a Linear, then by ``layers`` blocks ``LN(h + LSTM(h))``.

    9,196,800 parameters at the default widths. As every model here it ends at unit length; the original project's
    committed class did not, and its outputs were compared with unit vectors all the same.

    Args:
        input_dim: D, width of a vector; the output has the same width.
        hidden_dim: width of the blocks.
        layers: number of blocks.
    """

    variants = (Variant("29 October"),)

    def __init__(self, input_dim: int = 768, hidden_dim: int = 512, layers: int = 4) -> None:
        super().__init__(input_dim)
        self.embed = nn.Linear(input_dim, hidden_dim)
        cells = (nn.LSTM(hidden_dim, hidden_dim, batch_first=True) for _ in range(layers))
        self.body = nn.Sequential(*(ResidualBlock(cell, hidden_dim, norm="post") for cell in cells))
        self.out = nn.Linear(hidden_dim, input_dim)

    def raw(self, x: Tensor) -> Tensor:
        prediction: Tensor = self.out(self.body(self.embed(x))[:, -1])
        return prediction
