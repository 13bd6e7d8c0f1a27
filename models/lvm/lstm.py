"""LSTM: two layers, the last step's state, one map to the prediction (history 2)."""

from __future__ import annotations

from torch import Tensor, nn

from models.lvm.parts.vector_model import Variant, VectorModel, check_dropout, output_map


class LSTM(VectorModel):
    """``raw = out(LSTM(x)_T)``; Hochreiter and Schmidhuber 1997.

    5,120,768 parameters at the default widths, 5,384,448 with ``head``.

    Args:
        input_dim: D, width of a vector; the output has the same width.
        hidden_dim: width of the recurrent state.
        layers: recurrent layers, one on top of the other.
        dropout: share of the values dropped between layers while training; without effect in a single layer.
        head: Linear, GELU, LayerNorm, Linear at the end in place of one Linear.
    """

    variants = (Variant("16 October on"), Variant("12 to 16 October", head=True))

    def __init__(
        self, input_dim: int = 768, hidden_dim: int = 512, layers: int = 2, dropout: float = 0.2, head: bool = False
    ) -> None:
        super().__init__(input_dim)
        between = check_dropout(self, dropout) if layers > 1 else 0.0
        self.lstm = nn.LSTM(input_dim, hidden_dim, layers, batch_first=True, dropout=between)
        self.out = output_map(hidden_dim, input_dim, head=head)

    def raw(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)
        prediction: Tensor = self.out(states[:, -1])
        return prediction
