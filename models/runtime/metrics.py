"""Metrics of vector predictions: one definition for training, validation and OOD, averaged over samples.

The original project averaged batch means unweighted, so a short last batch counted in full (history 4); here every
sample counts the same whatever batch it came in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.losses import EPSILON


def cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Cosine similarity of each row, [B]; 0 where a row is the zero vector."""
    # Dividing the product by both lengths makes one temporary; normalising both rows first costs 3 to 10 times as much.
    norm = torch.linalg.vector_norm
    lengths: Tensor = norm(prediction, dim=-1).clamp_min(EPSILON) * norm(target, dim=-1).clamp_min(EPSILON)
    return (prediction * target).sum(dim=-1) / lengths


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over D of the squared difference of each row, [B]; ``2 (1 - cosine) / D`` for unit vectors."""
    return (prediction - target).square().mean(dim=-1)


class SampleMean:
    """Means over samples of several quantities, summed on the device of the values and read only at the end.

    Args:
        names: what is averaged, in the order of the values added.
        device: where the sums live; float64 there, float32 on devices without it (mps).
    """

    def __init__(self, names: tuple[str, ...], device: torch.device | str = "cpu") -> None:
        self.names = names
        kind = torch.device(device).type
        dtype = torch.float32 if kind == "mps" else torch.float64
        self.sums = torch.zeros(len(names), dtype=dtype, device=device)
        self.count = 0

    def add(self, means: list[Tensor], samples: int) -> None:
        """Adds one batch: the batch mean of each quantity (scalars, in order of ``names``) and its number of rows."""
        self.sums.add_(torch.stack([mean.detach() for mean in means]).to(self.sums.dtype), alpha=samples)
        self.count += samples

    def means(self) -> dict[str, float]:
        """The mean of each quantity; empty when nothing was added, never 0 for "not measured"."""
        if self.count == 0:
            return {}
        return dict(zip(self.names, (self.sums / self.count).tolist(), strict=True))
