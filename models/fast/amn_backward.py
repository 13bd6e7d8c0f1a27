"""AMN's raw prediction and its gradients as two functions, derived by hand.

Autograd also differentiates parts of the graph that no parameter needs: half of the first layer's input is the mean of
the context, which is data. At batch 32 its bookkeeping for 14 small tensors and 40 operations takes an eighth to a
fifth of a step on a CPU. :func:`raw` works with any autograd loop; :class:`AMNManualBackward` replaces autograd.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

EPS = 1e-5  # of both LayerNorms

_gelu_backward = torch.ops.aten.gelu_backward.default
_norm_backward = torch.ops.aten.native_layer_norm_backward.default


class Weights(NamedTuple):
    """AMN's parameters, or as many gradients; D wide, M = d_model, H = hidden_dim.

    ``key`` and ``query`` [M, D]; ``first`` [H, 2 D], ``second`` [M, H] and ``last`` [D, M] of the residual; gains and
    shifts of the LayerNorm behind ``first`` and behind ``second``.
    """

    key: Tensor
    key_bias: Tensor
    query: Tensor
    query_bias: Tensor
    first: Tensor
    first_bias: Tensor
    first_gain: Tensor
    first_shift: Tensor
    second: Tensor
    second_bias: Tensor
    second_gain: Tensor
    second_shift: Tensor
    last: Tensor
    last_bias: Tensor


class Activated(NamedTuple):
    """``normed = LN(active)``, ``active = GELU(before)``, each [B, width]; ``mean`` and ``rstd`` [B, 1] of active."""

    before: Tensor
    active: Tensor
    normed: Tensor
    mean: Tensor
    rstd: Tensor

    @classmethod
    def of(cls, before: Tensor, gain: Tensor, shift: Tensor) -> Activated:
        """The layer's nonlinear half."""
        active = F.gelu(before)
        return cls(before, active, *torch.native_layer_norm(active, active.shape[1:], gain, shift, EPS))

    def back(self, grad: Tensor, gain: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of ``before``, gain and shift by that of ``normed``."""
        width = self.active.shape[1:]
        inward, of_gain, of_shift = _norm_backward(
            grad, self.active, width, self.mean, self.rstd, gain, shift, [True, True, True]
        )
        return _gelu_backward(inward, self.before), of_gain, of_shift


class ForwardCache(NamedTuple):
    """What the backward pass needs of the forward pass.

    Attributes:
        x: context [B, T, D]. query: [B, M], scaled. attention: [B, 1, T]. pair: [B, 2 D], its mean and its mixture.
        first, second: behind those layers.
    """

    x: Tensor
    query: Tensor
    attention: Tensor
    pair: Tensor
    first: Activated
    second: Activated


def forward(x: Tensor, scale: float, w: Weights) -> tuple[Tensor, ForwardCache]:
    """Raw prediction [B, D] of a context [B, T, D]. The key's bias, which the softmax ignores, is not used."""
    mean = x.mean(dim=1)
    query = torch.addmm(w.query_bias, mean, w.query.t(), beta=scale, alpha=scale)
    # the vector as a row: as a column the same product takes seven times as long on a CPU (MKL 2024.2)
    attention = torch.softmax(torch.bmm((query @ w.key).unsqueeze(1), x.transpose(1, 2)), dim=2)
    pair = torch.cat((mean, torch.bmm(attention, x).squeeze(1)), dim=1)
    first = Activated.of(torch.addmm(w.first_bias, pair, w.first.t()), w.first_gain, w.first_shift)
    second = Activated.of(torch.addmm(w.second_bias, first.normed, w.second.t()), w.second_gain, w.second_shift)
    raw = torch.addmm(w.last_bias, second.normed, w.last.t()).add_(mean)
    return raw, ForwardCache(x, query, attention, pair, first, second)


def backward(grad: Tensor, scale: float, w: Weights, cache: ForwardCache, into: Weights | None = None) -> Weights:
    """Gradients of all parameters by that of the raw prediction [B, D]; those of matrices are written ``into`` its."""
    x, query, attention, pair, first, second = cache
    width = x.shape[2]
    last, last_bias = _of_map(grad, second.normed, into and into.last)
    outer, second_gain, second_shift = second.back(grad @ w.last, w.second_gain, w.second_shift)
    middle, middle_bias = _of_map(outer, first.normed, into and into.second)
    inner, first_gain, first_shift = first.back(outer @ w.second, w.first_gain, w.first_shift)
    beginning, beginning_bias = _of_map(inner, pair, into and into.first)
    # the mean is data: only the mixture's half of the pair leads on
    weighted = torch.bmm((inner @ w.first[:, width:]).unsqueeze(1), x.transpose(1, 2)) * attention
    of_scores = weighted - attention * weighted.sum(dim=2, keepdim=True)
    of_direction = torch.bmm(of_scores, x).squeeze(1)
    of_key = _by_halves(query, of_direction, into and into.key)
    of_query, of_query_bias = _of_map((of_direction @ w.key.t()).mul_(scale), pair[:, :width], into and into.query)
    return Weights(
        of_key,
        torch.zeros_like(w.key_bias),
        of_query,
        of_query_bias,
        beginning,
        beginning_bias,
        first_gain,
        first_shift,
        middle,
        middle_bias,
        second_gain,
        second_shift,
        last,
        last_bias,
    )


def _of_map(grad: Tensor, x: Tensor, into: Tensor | None) -> tuple[Tensor, Tensor]:
    """Gradients of a linear layer's weight and bias, by that of its output and its input ``x``."""
    wide = x.shape[1] > 2 * grad.shape[1]
    return (_by_halves if wide else _product)(grad, x, into), grad.sum(dim=0)


def _product(grad: Tensor, x: Tensor, into: Tensor | None) -> Tensor:
    """``grad^T x``: [out, in]."""
    return torch.mm(grad.t(), x, out=into)


def _by_halves(grad: Tensor, x: Tensor, into: Tensor | None) -> Tensor:
    """The same, its upper and its lower half as a batch of two: MKL splits a product that is much wider than
    tall so badly between two threads that it takes 1.3 to 1.6 times as long; on one thread it makes no difference.
    """
    rows, out = x.shape[0], grad.shape[1]
    if out % 2:
        return _product(grad, x, into)
    halves = grad.view(rows, 2, out // 2).permute(1, 2, 0)
    target = None if into is None else into.view(2, out // 2, -1)
    product = torch.bmm(halves, x.expand(2, *x.shape), out=target).view(out, -1)
    return product if into is None else into


# -- with and without autograd -----------------------------------------------------------------------------------------
def raw(x: Tensor, scale: float, weights: Weights) -> Tensor:
    """The raw prediction [B, D], differentiable once and by the weights alone."""
    out: Tensor = _Raw.apply(x, scale, *weights)  # type: ignore[no-untyped-call]
    return out


def uses_manual_backward(x: Tensor) -> bool:
    """Whether :func:`raw` applies: gradients are needed, and torch.export, torch.compile and autocast are off."""
    if torch.compiler.is_compiling() or not torch.is_grad_enabled() or x.requires_grad:
        return False
    return not torch.is_autocast_enabled(x.device.type)


class AMNManualBackward:
    """Forward and backward without autograd, into preallocated gradients.

    Args:
        weights: all parameters, all trainable. gradients: the buffers that receive their gradients.
    """

    def __init__(self, scale: float, weights: Weights, gradients: Weights) -> None:
        self._scale = scale
        self._weights = weights
        self._gradients = gradients
        self._cache: ForwardCache | None = None

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Raw prediction [B, D] of a checked context [B, T, D]."""
        out, self._cache = forward(x, self._scale, self._weights)
        return out

    @torch.no_grad()
    def backward(self, grad: Tensor) -> None:
        """Sets ``grad`` of each parameter by that of the last prediction [B, D]; earlier gradients are overwritten.

        Raises:
            RuntimeError: there was no forward pass since the last backward pass.
        """
        if self._cache is None:
            raise RuntimeError("backward() was called without a forward() before it")
        gradients = backward(grad, self._scale, self._weights, self._cache, self._gradients)
        self._cache = None
        for weight, gradient, buffer in zip(self._weights, gradients, self._gradients, strict=True):
            weight.grad = buffer if gradient is buffer else buffer.copy_(gradient)


class _Raw(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, *weights: Tensor) -> Tensor:
        out, cache = forward(x, scale, Weights(*weights))
        *tensors, first, second = cache
        ctx.save_for_backward(*weights, *tensors, *first, *second)
        ctx.scale = scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        count, width = len(Weights._fields), len(Activated._fields)
        saved = ctx.saved_tensors
        x, query, attention, pair, *layers = saved[count:]
        cache = ForwardCache(x, query, attention, pair, Activated(*layers[:width]), Activated(*layers[width:]))
        return None, None, *backward(grad, ctx.scale, Weights(*saved[:count]), cache)
