"""MuGrokfast with one fault of the original project each, which the real one has no option for (history 11)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.optim.mugrokfast import MuGrokfast


class LearningRatesNotWired(MuGrokfast):
    """Steps with the rates it was constructed with; a schedule changes ``group["lr"]``, and what is logged, alone."""

    def _rate(self, group: dict[str, Any]) -> float:
        constant: float = group.setdefault("constructed_lr", float(group["lr"]))
        return constant

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self._rate(self.param_groups[-1])


class ReversedGrokfast(MuGrokfast):
    """Adds ``lambda (g - mean)`` where Grokfast adds ``lambda mean``: a high-pass for a low-pass."""

    def _filter(self, gradients: list[Tensor], averages: list[Tensor], group: dict[str, Any]) -> None:
        torch._foreach_lerp_(averages, gradients, 1.0 - group["grokfast_alpha"])
        fast = torch._foreach_sub(gradients, averages)
        torch._foreach_add_(gradients, fast, alpha=group["grokfast_lambda"])


class WrongOrderNewtonSchulz(MuGrokfast):
    """``X <- 1.5 X - 0.5 X (X X^T)``, scaled back to the gradient's norm: nothing is orthogonalised.

    The order only fits square matrices. The original project's others came by the second branch or raised a shape
    error; here all of them take the second branch, which gives each row of a wide matrix, each column of a tall one,
    unit length.
    """

    def _orthogonalise(self, matrices: Tensor) -> Tensor:
        if matrices.shape[-2] != matrices.shape[-1]:
            return torch.nn.functional.normalize(matrices, dim=-1)  # muon_step hands over wide matrices
        norm = torch.linalg.matrix_norm(matrices, keepdim=True).clamp(min=1e-7)
        x = matrices / norm
        for _ in range(5):
            x = 1.5 * x - 0.5 * x @ (x @ x.mT)
        scaled: Tensor = x * norm
        return scaled
