"""A trained model prepared for prediction alone: the same predictions from fewer and larger operations.

What paid, and what was tried and did not: docs/performance-peers.md.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvmcheck.errors import InputError
from models.losses import EPSILON
from models.lvm.amn import AMN
from models.lvm.parts.vector_model import VectorModel

HALF_SQRT = 1.0 / math.sqrt(2.0)
PACKED_FOR = 32  # rows that the layout of a packed weight is chosen for; 32, 128 and 512 chose the same
AGREES = 1e-5  # relative: how well a packed product must agree with the plain one to be used


class InferenceModel:
    """A model that predicts, without gradients. This class calls it as it is; :class:`AMNInference` knows better.

    Attributes:
        kind: of model. width: D.
    """

    def __init__(self, model: VectorModel) -> None:
        self.kind, self.width = model.kind, model.input_dim
        self._model = model
        self._like = next(model.parameters())

    def __call__(self, x: Tensor) -> Tensor:
        """The prediction [B, D] at unit length of a context [B, T, D], of the model's type and on its device.

        Raises:
            InputError: ``x`` is of another shape, type or device.
        """
        if x.dtype is not self._like.dtype or x.device != self._like.device:
            expected = f"{_name(self._like.dtype)} on {self._like.device}"
            got = f"{_name(x.dtype)} on {x.device}"
            raise InputError(f"model {self.kind}", f"expected a context of {expected}, got {got}")
        self._model.check_context(x)
        with torch.inference_mode():  # 5 % faster than no_grad where one context is predicted
            predicted = self._predict(x)
        return predicted.clone()  # an ordinary tensor, that may take part in training

    def _predict(self, x: Tensor) -> Tensor:
        return cast(Tensor, self._model(x))


class AMNInference(InferenceModel):
    """AMN on the CPU in float32.

    Before the first prediction: the scale goes into the query; the key's bias, which a softmax ignores, goes away; each
    LayerNorm's gain and shift go into the linear layer behind it; with ``u = h / sqrt(2)``, whose division goes into
    the one before it, ``GELU(h) = (u + u erf(u)) / sqrt(2)``, whose own goes into the epsilon of the LayerNorm.
    """

    def __init__(self, model: AMN) -> None:
        super().__init__(model)
        first, _, norm1, second, _, norm2, last = cast(Any, model.residual)
        self._maps = (
            Map.of(model.query.weight, model.query.bias, gain=model.scale),
            Map.of(model.key.weight.t(), None),
            Map.of(first.weight, first.bias, gain=HALF_SQRT),
            Map.of(*behind(norm1, second), gain=HALF_SQRT),
            Map.of(*behind(norm2, last)),
        )
        self._plain = [(each.bias, each.weight) for each in self._maps]
        self._norms = ((first.out_features,), 2.0 * norm1.eps), ((second.out_features,), 2.0 * norm2.eps)
        self._shares: dict[int, Tensor] = {}

    def _predict(self, x: Tensor) -> Tensor:
        return self._one(x[0]).unsqueeze(0) if len(x) == 1 else self._many(x)

    def _one(self, x: Tensor) -> Tensor:
        """The prediction [D] of one context [T, D], by products of matrix and vector."""
        query, (_, key), first, second, last = self._plain
        across = x.t()
        mean = torch.mv(across, self._share(len(x)))  # half the time of x.mean(0)
        scores = torch.mv(x, torch.mv(key, torch.addmv(*query, mean)))
        mixture = torch.mv(across, torch.softmax(scores, 0))
        hidden = activated(torch.addmv(*first, torch.cat((mean, mixture))), *self._norms[0])
        hidden = activated(torch.addmv(*second, hidden), *self._norms[1])
        return unit_(torch.addmv(*last, hidden).add_(mean))

    def _share(self, steps: int) -> Tensor:
        """The weights [T] of a mean over T vectors."""
        share = self._shares.get(steps)
        if share is None:
            share = self._shares[steps] = torch.full((steps,), 1.0 / steps)
        return share

    def _many(self, x: Tensor) -> Tensor:
        """The predictions [B, D] of contexts [B, T, D]."""
        query, key, first, second, last = self._maps
        mean = x.mean(1)
        # the vector as a row: as a column the same product takes thirteen times as long at batch 128 (MKL 2024.2)
        scores = torch.bmm(key.rows(query.rows(mean)).unsqueeze(1), x.transpose(1, 2))
        mixture = torch.bmm(torch.softmax(scores, 2), x).squeeze(1)
        hidden = activated(first.rows(torch.cat((mean, mixture), 1)), *self._norms[0])
        hidden = activated(second.rows(hidden), *self._norms[1])
        return unit_(last.rows(hidden).add_(mean))


def optimize_for_inference(model: VectorModel) -> InferenceModel:
    """A copy of ``model``, prepared for prediction: a callable from context [B, T, D] to prediction [B, D].

    Predictions differ from the model's by rounding alone, and what is done to the model afterwards does not show. Any
    number of threads may call it at once. It computes on as many threads as torch does; one is best for one context.

    Raises:
        InputError: the model, or a part of it, is in training mode.
    """
    if any(module.training for module in model.modules()):
        problem = "expected a model in evaluation mode, got one in training mode"
        raise InputError(f"model {model.kind}", problem, fix="Call model.eval() first.")
    own = copy.deepcopy(model)
    if type(own) is AMN and all(p.dtype == torch.float32 and p.device.type == "cpu" for p in own.parameters()):
        return AMNInference(own)
    return InferenceModel(own)


# -- parts -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Map:
    """``W x + b``.

    Attributes:
        weight: W [out, in], whose longer side is contiguous: what MKL's product with a vector wants.
        bias: b [out], zeros where there is none.
        rows: [B, in] to [B, out], by oneDNN where that is to be had.
    """

    weight: Tensor
    bias: Tensor
    rows: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, *, gain: float = 1.0) -> Map:
        """Of a copy of both, times ``gain``."""
        scaled = (weight.detach().double() * gain).float().contiguous()
        shift = torch.zeros(len(scaled)) if bias is None else (bias.detach().double() * gain).float()
        layout = scaled if scaled.shape[1] >= len(scaled) else scaled.t().contiguous().t()
        return cls(layout, shift, packed(scaled, shift) or partial(F.linear, weight=layout, bias=shift))


def behind(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias of ``linear(norm(x))`` as a map of what the norm gives before its own gain and shift."""
    weight, bias = linear.weight.detach().double(), linear.bias.detach().double()
    return weight * norm.weight.detach(), bias + weight @ norm.bias.detach().double()


def activated(u: Tensor, shape: tuple[int], epsilon: float) -> Tensor:
    """LayerNorm without gain of ``u + u erf(u)``, over the last dimension, of that ``shape``."""
    return torch.native_layer_norm(torch.addcmul(u, u, torch.erf(u)), shape, None, None, epsilon)[0]


def unit_(raw: Tensor) -> Tensor:
    """:func:`models.losses.unit`, in place and without its overhead."""
    return raw.div_(torch.linalg.vector_norm(raw, dim=-1, keepdim=True).clamp_min_(EPSILON))


def packed(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor] | None:
    """``W x + b`` of many rows with W in oneDNN's layout; None where torch has no oneDNN, or it gives something else.

    Its operations are those of torch's compiled graphs and have no public name, so they must prove themselves here.
    """
    try:
        product = torch.ops.mkldnn._linear_pointwise.default
        layout = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_FOR)

        def rows(x: Tensor) -> Tensor:
            return cast(Tensor, product(x, layout, bias, "none", [], ""))

        x = torch.linspace(-1.0, 1.0, PACKED_FOR * weight.shape[1]).view(PACKED_FOR, -1)
        expected = F.linear(x, weight, bias)
        error = float((rows(x) - expected).abs().max())
    except (AttributeError, RuntimeError):
        return None
    return rows if error <= AGREES * max(1.0, float(expected.abs().max())) else None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
