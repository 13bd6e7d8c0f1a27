"""Small things the loops of this half share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn


def grad_norm(parameters: Iterable[nn.Parameter]) -> float:
    """Global gradient norm, without clipping."""
    squares = [float(p.grad.double().pow(2).sum()) for p in parameters if p.grad is not None]
    return math.sqrt(math.fsum(squares)) if all(map(math.isfinite, squares)) else math.inf


def batches(count: int, size: int, *, shuffle: bool = True) -> Iterator[Tensor]:
    """Indices of whole batches, in a new random order each time unless told otherwise."""
    order = torch.randperm(count) if shuffle else torch.arange(count)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def r_squared(prediction: Tensor, target: Tensor) -> float:
    """Explained variance against the mean of ``target``."""
    return 1.0 - float((prediction - target).pow(2).mean() / target.var(unbiased=False))
