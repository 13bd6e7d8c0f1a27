"""Programs with one silent error each: pairs of views and a temperature that stands alone; epochs and a penalty."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder
from suites.watch.steps import learn

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


def epochs(rec: Recorder, fault: str) -> None:
    """A classifier in epochs of eight steps, with a penalty on its weights."""
    inputs = torch.randn(320, 16)
    labels = inputs[:, :4].argmax(1)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    first = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    rec.watch(model, optimizer)
    for epoch in range(6):
        if fault == "loaded_in_the_loop":
            model.load_state_dict(first)
        model.train()
        for rows in torch.randperm(256).split(32):
            penalty = sum((p.square().sum() for p in model.parameters()), torch.zeros(()))
            loss = F.cross_entropy(model(inputs[rows]), labels[rows])
            loss = loss + (30.0 if fault == "penalty_of_30" else 1e-4) * penalty
            learn(rec, optimizer, loss)
        model.eval()
        with torch.no_grad():
            rec.epoch(epoch, val_loss=F.cross_entropy(model(inputs[256:]), labels[256:]))


CHECKS = [
    (epochs, {"penalty_of_30": "penalty_is_small", "loaded_in_the_loop": "weights_go_on"}),
    (
        pairs,
        {
            "temperature_left_out": "loss_parameters_optimized",
            "sign_of_the_loss": "loss_minimised",
            "one_view_twice": "views_differ",
            "normalised_over_the_batch": "loss_inputs",
        },
    ),
]
