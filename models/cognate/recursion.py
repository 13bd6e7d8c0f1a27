"""Tiny recursive refinement (TRM, Jolicoeur-Martineau 2025), causal: a latent and an answer improve each other.

``z0 = W features``, ``y0 = W z0``; a step does ``micro_steps`` times ``z <- LN(z + MLP([z; A(z, features); A(z, y)]))``
and then ``y <- LN(y + MLP([y; z]))``. Both attentions see no later position, unlike the original project's (history
9). The gradient runs through all steps, so that a later step can teach an earlier one what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.cognate.attention import CrossAttention
from models.cognate.layout import Layout
from models.cognate.linear import Linear
from models.cognate.state import KeyValue


@dataclass(frozen=True)
class Refined:
    """``answers`` y and ``latents`` z after each step, S of [B, T, d]; ``keys`` of features and of y by step, S + 1."""

    answers: tuple[Tensor, ...]
    latents: tuple[Tensor, ...]
    keys: tuple[KeyValue, ...]


class Recursion(nn.Module):
    """The recursion of the module's text; 24 d^2 + 17 d parameters, the same in every step.

    Args:
        width: d. heads: of both attentions. steps: S. micro_steps: updates of z in each. dropout: inside both MLPs.
    """

    def __init__(self, width: int, heads: int, steps: int, micro_steps: int, dropout: float) -> None:
        super().__init__()
        self.steps = steps
        self.micro_steps = micro_steps
        self.latent = Linear(width, width)
        self.answer = Linear(width, width)
        self.to_features = CrossAttention(width, heads)
        self.to_answer = CrossAttention(width, heads)
        self.think = _Mlp(3 * width, 2 * width, width, dropout)
        self.revise = _Mlp(2 * width, 2 * width, width, dropout)
        self.latent_norm = nn.LayerNorm(width)
        self.answer_norm = nn.LayerNorm(width)

    def forward(self, features: Tensor, layout: Layout, past: Sequence[KeyValue | None]) -> Refined:
        """Refines from ``features`` [B, T, d]; ``past`` holds the S + 1 keys of earlier positions."""
        z = self.latent(features)
        y = self.answer(z)
        keys = [self.to_features.keys(features, past[0])]
        answers, latents = [], []
        for step in range(self.steps):
            keys.append(self.to_answer.keys(y, past[1 + step]))
            z, y = self.refine(z, y, keys[0], keys[-1], layout)
            answers.append(y)
            latents.append(z)
        return Refined(tuple(answers), tuple(latents), tuple(keys))

    def refine(
        self, z: Tensor, y: Tensor, of_features: KeyValue, of_answers: KeyValue, layout: Layout
    ) -> tuple[Tensor, Tensor]:
        """One step: latent and answer [B, T, d] after it, looking at the keys of features and of the answers so far."""
        for _ in range(self.micro_steps):
            seen = self.to_features(z, of_features, layout), self.to_answer(z, of_answers, layout)
            z = self.latent_norm(z + self.think(torch.cat((z, *seen), dim=2)))
        return z, self.answer_norm(y + self.revise(torch.cat((y, z), dim=2)))


class _Mlp(nn.Module):
    """Linear, ReLU, Linear."""

    def __init__(self, width: int, inner: int, out: int, dropout: float) -> None:
        super().__init__()
        self.up = Linear(width, inner)
        self.down = Linear(inner, out)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        mapped: Tensor = self.down(F.dropout(self.up(x).relu(), self.dropout, self.training))
        return mapped
