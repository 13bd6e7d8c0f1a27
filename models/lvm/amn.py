"""AMN, the attention mixture network: a mean of the context plus a learned residual.

The architecture of the original project (history 1). It sees no order: permuting the context changes nothing. At
initialisation the residual's norm is about sqrt(d_model), far above the baseline's, so an untrained AMN has a cosine
near 0.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.fast import amn_backward
from models.losses import unit
from models.lvm.parts.vector_model import GradBuffers, Variant, VectorModel


class AMN(VectorModel):
    """Predicts the next unit vector from ``T`` context vectors of the same width.

    With x [B, T, D]: baseline ``b = mean_t x_t``; ``a = softmax_t(W_q b . W_k x_t / sqrt(d_model))``; mixture
    ``c = sum_t a_t x_t`` of the raw inputs; ``raw = b + MLP([b, c])``; the prediction is ``raw`` at unit length.
    1,510,912 parameters at the default widths.

    Args:
        input_dim: D, width of a vector; the output has the same width.
        d_model: width of keys and query, and of the MLP's second layer.
        hidden_dim: width of the MLP's first layer.
    """

    order_matters = False
    silent = ("key.bias",)  # it adds the same to the score of every position, which the softmax ignores
    variants = (Variant("all generations"),)

    def __init__(self, input_dim: int = 768, d_model: int = 256, hidden_dim: int = 512) -> None:
        super().__init__(input_dim)
        self.scale = 1.0 / math.sqrt(d_model)
        self.key = nn.Linear(input_dim, d_model)
        self.query = nn.Linear(input_dim, d_model)
        self.residual = nn.Sequential(
            nn.Linear(2 * input_dim, hidden_dim),
            nn.GELU(),
            nn.LayerNorm(hidden_dim),
            nn.Linear(hidden_dim, d_model),
            nn.GELU(),
            nn.LayerNorm(d_model),
            nn.Linear(d_model, input_dim),
        )

    def forward(
        self, x: Tensor, return_raw: bool = False, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """The prediction [B, D] at unit length.

        With ``return_attention``, which takes precedence, ``(prediction, attention [B, T])``; with ``return_raw``,
        ``(raw [B, D], prediction)``.

        Raises:
            InputError: ``x`` is not [B, T >= 1, input_dim].
        """
        if not return_attention:
            return super().forward(x, return_raw)
        self.check_context(x)
        raw, attention = self._mixed(x)
        return unit(raw), attention

    def raw(self, x: Tensor) -> Tensor:
        if amn_backward.uses_manual_backward(x):
            return amn_backward.raw(x, self.scale, self.weights())
        return self._mixed(x)[0]

    def manual_backward(self, grad_buffers: GradBuffers) -> amn_backward.AMNManualBackward | None:
        """See :meth:`VectorModel.manual_backward`: in float32 on a CPU, where every parameter is trained."""
        fits = all(p.requires_grad and p.dtype == torch.float32 and p.device.type == "cpu" for p in self.parameters())
        if not fits or type(self) is not AMN:
            return None
        buffers: dict[Tensor, Tensor] = dict(zip(self.parameters(), grad_buffers(), strict=True))
        weights = self.weights()
        return amn_backward.AMNManualBackward(
            self.scale, weights, amn_backward.Weights(*(buffers[weight] for weight in weights))
        )

    def weights(self) -> amn_backward.Weights:
        """All parameters by name."""
        first, _, norm1, second, _, norm2, last = cast(Any, self.residual)
        maps = (self.key, self.query, first, norm1, second, norm2, last)
        return amn_backward.Weights(*(tensor for each in maps for tensor in (each.weight, each.bias)))

    def _mixed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Raw prediction [B, D] and attention [B, T]."""
        baseline = x.mean(dim=1)
        query = self.query(baseline) * self.scale
        # q.(W x_t + b) as (q W).x_t + q.b: one D-wide vector a sample in place of T keys, a tenth to a fifth faster
        direction, offset = query @ self.key.weight, query @ self.key.bias
        # a batched product with one column takes 4 to 6 times as long on a CPU as a multiplication and a sum
        attention = torch.softmax((x * direction.unsqueeze(1)).sum(dim=-1) + offset.unsqueeze(1), dim=1)
        mixture = torch.bmm(attention.unsqueeze(1), x).squeeze(1)
        return baseline + self.residual(torch.cat((baseline, mixture), dim=1)), attention
