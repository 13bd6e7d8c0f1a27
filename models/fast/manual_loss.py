"""The loss of a vector model whose forward and backward passes were derived by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.losses import Batch, Loss, compute_terms, mse_and_slope, unit, weighted_total
from models.runtime.metrics import cosine


class ManualBackward(Protocol):
    """A forward and a backward pass without autograd."""

    def forward(self, x: Tensor) -> Tensor:
        """Raw prediction [B, D] of a checked context [B, T, D]."""

    def backward(self, grad: Tensor) -> None:
        """Sets ``grad`` of each parameter by that of the last prediction [B, D]."""


@dataclass
class _ManualLoss(Loss):
    """A loss that knows its gradient [B, D] by the raw prediction, and passes it to the model."""

    model: ManualBackward | None = None
    slope: Tensor | None = None

    def backward(self, share: float = 1.0) -> None:
        assert self.model is not None
        assert self.slope is not None
        self.model.backward(self.slope if share == 1.0 else self.slope.mul_(share))


def manual_loss(
    model: ManualBackward, weights: Mapping[str, float], tau: float, context: Tensor, target: Tensor
) -> Loss:
    """The loss of a batch; autograd differentiates the loss terms alone, and nothing where the only one is "mse"."""
    raw = model.forward(context)
    active = [name for name, weight in weights.items() if weight > 0]
    if active == ["mse"]:
        weight = weights["mse"]
        value, slope = mse_and_slope(raw, target)
        if weight != 1.0:
            slope.mul_(weight)
        terms = {"mse": (weight, value)}
        total = value * weight
    else:
        terms = compute_terms(weights, Batch(raw.requires_grad_(), unit(raw), target, tau))
        total = weighted_total(terms)
        (slope,) = torch.autograd.grad(total, raw)
        raw = raw.detach()
    with torch.no_grad():
        metrics = {"cosine": cosine(raw, target).mean()}
    return _ManualLoss(total, terms, len(target), metrics, model=model, slope=slope)
