"""A contrastive program with one silent error each: two views, a learned temperature that stands alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder

STEPS = 60


def pairs(rec: Recorder, fault: str) -> None:
    """InfoNCE within the batch, of two noisy views that one encoder embeds."""
    data = torch.randn(400, 16)
    encoder = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 12))
    temperature = nn.Parameter(torch.tensor(1.6))
    trained = list(encoder.parameters())
    optimizer = torch.optim.Adam(trained if fault == "temperature_left_out" else [*trained, temperature], 1e-3)
    rec.watch(encoder, optimizer)
    for _ in range(STEPS):
        rows = data[torch.randperm(400)[:32]]
        one = rows + 0.3 * torch.randn_like(rows)
        other = one if fault == "one_view_twice" else rows + 0.3 * torch.randn_like(rows)
        loss = _loss(encoder(one), encoder(other), temperature, 0 if fault == "normalised_over_the_batch" else 1)
        optimizer.zero_grad()
        (-loss if fault == "sign_of_the_loss" else loss).backward()
        optimizer.step()
        rec.step(loss=loss)


def _loss(one: Tensor, other: Tensor, temperature: Tensor, axis: int) -> Tensor:
    scores = F.normalize(one, dim=axis) @ F.normalize(other, dim=axis).T * temperature.exp()
    own = torch.arange(len(one))
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


CHECKS = [
    (
        pairs,
        {
            "temperature_left_out": "loss_parameters_optimized",
            "sign_of_the_loss": "loss_minimised",
            "one_view_twice": "views_differ",
            "normalised_over_the_batch": "loss_inputs",
        },
    )
]
