"""Attention over fixed rows and a linear layer over a half-fixed pair, with backward passes that skip what is data.

In AMN the context is data: no gradient flows into it. Autograd does not know that half of a concatenation needs none,
and it derives products of [B, T, D] with [B, D, 1] that a CPU's batched GEMM takes 4 to 6 times as long for as a
multiplication and a sum. Measured on AMN at 768, 256, 512 with a context of five (docs/performance.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def pool(x: Tensor, direction: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """``a = softmax_t(x_t . direction + offset)`` [B, T] and ``sum_t a_t x_t`` [B, D], the latter first.

    Args:
        x: [B, T, D], fixed. direction: [B, D]. offset: [B], the same for every position.
    """
    if _derived_here(x):
        pooled: tuple[Tensor, Tensor] = _Pool.apply(x, direction, offset)  # type: ignore[no-untyped-call]
        return pooled
    return _pooled(x, direction, offset)


def pair_linear(fixed: Tensor, free: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``[fixed, free] weight^T + bias``: [B, out].

    Args:
        fixed: [B, P], no gradient flows into it. free: [B, Q]. weight: [out, P + Q]. bias: [out].
    """
    if _derived_here(fixed):
        out: Tensor = _PairLinear.apply(fixed, free, weight, bias)  # type: ignore[no-untyped-call]
        return out
    return functional.linear(torch.cat((fixed, free), dim=1), weight, bias)


def _derived_here(fixed: Tensor) -> bool:
    """Whether the backward passes below are needed and right; they know neither torch.export nor autocast."""
    if torch.compiler.is_compiling() or not torch.is_grad_enabled() or fixed.requires_grad:
        return False
    return not torch.is_autocast_enabled(fixed.device.type)


def _pooled(x: Tensor, direction: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    scores = _products(x, direction) + offset.unsqueeze(1)
    attention = torch.softmax(scores, dim=1)
    return _mixture(attention, x), attention


def _products(x: Tensor, direction: Tensor) -> Tensor:
    """``x_t . direction``: [B, T]."""
    return (x * direction.unsqueeze(1)).sum(dim=-1)


def _mixture(weights: Tensor, x: Tensor) -> Tensor:
    """``sum_t weights_t x_t``: [B, D]."""
    return torch.bmm(weights.unsqueeze(1), x).squeeze(1)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, direction: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        mixture, attention = _pooled(x, direction, offset)
        ctx.save_for_backward(x, attention)
        ctx.set_materialize_grads(False)  # the attention is seldom part of a loss
        return mixture, attention

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_mixture: Tensor | None, of_attention: Tensor | None
    ) -> tuple[None, Tensor | None, Tensor | None]:
        x, attention = ctx.saved_tensors
        grads = [] if of_mixture is None else [_products(x, of_mixture)]
        grads += [] if of_attention is None else [of_attention]
        if not grads:
            return None, None, None
        inward = attention * (grads[0] if len(grads) == 1 else grads[0] + grads[1])
        scores = inward - attention * inward.sum(dim=1, keepdim=True)
        return None, _mixture(scores, x), scores.sum(dim=1)


class _PairLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fixed: Tensor, free: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        pair = torch.cat((fixed, free), dim=1)
        ctx.save_for_backward(pair, weight)
        ctx.known = fixed.shape[1]
        return functional.linear(pair, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor, Tensor]:
        pair, weight = ctx.saved_tensors
        return None, grad @ weight[:, ctx.known :], grad.T @ pair, grad.sum(dim=0)
