"""The Transformer of the original project: decoder layers that attend to the context twice (history 2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.lvm.parts.vector_model import Variant, VectorModel, check_divides, check_dropout, output_head


class Transformer(VectorModel):
    """``raw = out(h_T)``: decoder layers (Vaswani et al. 2017; post-norm, ReLU) over the context, then the last step.

    Every layer gets the embedded context as its memory beside its own input, causally masked in both attentions.
    17,867,520 parameters at the default widths, in both of the original project's generations.

    Args:
        input_dim: D, width of a vector; the output has the same width.
        hidden_dim: width of the layers, a multiple of ``heads``.
        layers: number of decoder layers.
        heads: attention heads.
        ffn_dim: width of the feed-forward part.
        dropout: share of the values dropped while training.
    """

    variants = (Variant("both generations"),)

    def __init__(
        self,
        input_dim: int = 768,
        hidden_dim: int = 512,
        layers: int = 4,
        heads: int = 8,
        ffn_dim: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(input_dim)
        check_divides(self, "heads", heads, "hidden_dim", hidden_dim)
        check_dropout(self, dropout)
        self.embed = nn.Linear(input_dim, hidden_dim)
        # not nn.TransformerDecoder: its layers are copies of one, so all would start with the same weights
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(hidden_dim, heads, ffn_dim, dropout, batch_first=True) for _ in range(layers)
        )
        self.out = output_head(hidden_dim, input_dim)

    def raw(self, x: Tensor) -> Tensor:
        embedded = self.embed(x)
        memory = embedded + sinusoids(x.shape[1], embedded.shape[2], x.device).to(x.dtype)
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        hidden = memory
        for layer in self.layers:
            hidden = layer(hidden, memory, tgt_mask=future, memory_mask=future)
        prediction: Tensor = self.out(hidden[:, -1])
        return prediction


def sinusoids(steps: int, width: int, device: torch.device) -> Tensor:
    """Positional encoding [steps, width], float32: sines and cosines of ``position / 10000^(2i / width)`` in turn."""
    position = torch.arange(steps, dtype=torch.float32, device=device).unsqueeze(1)
    even = torch.arange(0, width, 2, dtype=torch.float32, device=device)
    angle = position * torch.exp(even * (-math.log(10000.0) / width))
    return torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1)[:, :width]
