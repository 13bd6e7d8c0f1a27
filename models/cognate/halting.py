"""When to stop refining: a head that says after each step how probable it is that this token is done.

The distribution is PonderNet's (Banino et al. 2021): with lambda_s the probability of halting at step s when it was
reached, ``p_s = lambda_s (1 - lambda_1) ... (1 - lambda_{s-1})`` and the last step takes what is left, so that p sums
to one. Expected loss and expected steps are differentiable in it; the integer number of steps, which the original
project penalised, is not: their head never had a gradient (history 10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CALIBRATION_DECAY = 0.98  # of the moving average per batch (history 10)
START = 0.1  # standard deviation of what a new head says of a normed latent, in log-odds


@dataclass(frozen=True)
class Halting:
    """Of S steps over [B, T] tokens.

    Attributes:
        probability: lambda [S, B, T], 1 at the last step.
        weight: p [S, B, T], sums to 1 over S.
    """

    probability: Tensor
    weight: Tensor

    @property
    def ponder(self) -> Tensor:
        """Expected number of steps [B, T], in 1..S."""
        number = torch.arange(1, len(self.weight) + 1, dtype=self.weight.dtype, device=self.weight.device)
        return (number.view(-1, 1, 1) * self.weight).sum(dim=0)

    def steps(self, threshold: float) -> Tensor:
        """[B, T] int64 in 1..S: the first step where the probability of having halted reaches ``threshold``."""
        left = torch.cumprod(1.0 - self.probability, dim=0)  # exact at the last step, where a sum of p is not
        return 1 + (left > 1.0 - threshold)[:-1].sum(dim=0)


class HaltingHead(nn.Module):
    """``lambda = sigmoid(w z + b)`` for each step but the last; d + 1 parameters.

    Attributes:
        usual_loss: [S], moving average of the loss after each step, updated by the objective while training only. It
            is what :func:`models.cognate.objective.language_terms` calibrates the head by.

    Args:
        width: d. steps: S, at least 2. first_loss: what ``usual_loss`` starts from, in nats.
    """

    usual_loss: Tensor

    def __init__(self, width: int, steps: int, first_loss: float) -> None:
        super().__init__()
        self.steps = steps
        self.head = nn.Linear(width, 1)
        self.register_buffer("usual_loss", torch.full((steps,), first_loss))

    def init_weights(self) -> None:
        """Small weights, and the bias where each step but the last halts with probability 1 / S."""
        nn.init.normal_(self.head.weight, std=START * self.head.in_features**-0.5)
        nn.init.constant_(self.head.bias, -math.log(self.steps - 1))

    def forward(self, latents: Sequence[Tensor]) -> Halting:
        """From the latents z [B, T, d] after each of S steps; at least in float32."""
        with torch.autocast(latents[0].device.type, enabled=False):
            halting = [self.probability(z) for z in latents[:-1]]
            running = torch.ones_like(halting[0])  # probability of not having halted yet
            weights = []
            for probability in halting:
                weights.append(running * probability)
                running = running * (1.0 - probability)
            return Halting(torch.stack([*halting, torch.ones_like(running)]), torch.stack([*weights, running]))

    def probability(self, latent: Tensor) -> Tensor:
        """lambda [B, T] after a step that left ``latent`` [B, T, d]."""
        with torch.autocast(latent.device.type, enabled=False):
            kind = torch.promote_types(latent.dtype, torch.float32)
            said: Tensor = self.head(latent.to(kind)).squeeze(2).sigmoid()
            return said

    @torch.no_grad()
    def calibrate(self, losses: Tensor) -> None:
        """Moves ``usual_loss`` towards the mean losses [S] of a batch."""
        self.usual_loss.lerp_(losses.to(self.usual_loss.dtype), 1.0 - CALIBRATION_DECAY)
