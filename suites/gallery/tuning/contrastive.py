"""Two noisy views of the same thing are to be embedded near each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder
from suites.gallery.program import Program, broken, healthy

FEATURES = 32
PAIRS = 128


def things(count: int, seed: int) -> Tensor:
    mixing = torch.randn(12, FEATURES, generator=torch.Generator().manual_seed(7)) / 12**0.5
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(seed)) @ mixing


def view(x: Tensor, draw: torch.Generator | None = None) -> Tensor:
    """A fifth of the features lost, noise on the others."""
    kept = (torch.rand(x.shape, generator=draw) > 0.2).float()
    return kept * (x + 0.4 * torch.randn(x.shape, generator=draw))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(FEATURES, 96), nn.ReLU(), nn.Linear(96, 24))
        self.log_scale = nn.Parameter(torch.tensor(math.log(5.0)))  # as CLIP learns it

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.net(x), dim=1)


def info_nce(a: Tensor, b: Tensor, scale: Tensor | float) -> Tensor:
    logits = scale * a @ b.T
    rows = torch.arange(len(a))
    return (F.cross_entropy(logits, rows) + F.cross_entropy(logits.T, rows)) / 2


def triplet(a: Tensor, b: Tensor) -> Tensor:
    """A pair must be nearer than the next pair by a margin; 0 where it is."""
    return F.relu(0.3 - (a * b).sum(1) + (a * b.roll(1, 0)).sum(1)).mean()


def train(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 12,
    lr: float = 2e-3,
    batch: int = 64,
    rows: int = 1024,
    scale: float = 10.0,
    learned_scale: bool = False,
    margin: bool = False,
    validate: bool = True,
    first: int = 1,
    log_steps: bool = True,
) -> None:
    x = things(rows, 1)
    draw = torch.Generator().manual_seed(3)
    held = things(PAIRS, 2)
    held_a, held_b = view(held, draw), view(held, draw)
    model = Encoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for epoch in range(first, first + epochs):
        losses = []
        for part in torch.randperm(rows).split(batch):
            a, b = view(x[part]), view(x[part])
            if fault == "pairs torn apart":
                b = b[torch.randperm(len(b))]
            if fault == "both views are the same":
                b, held_b = a, held_a
            with torch.set_grad_enabled(fault != "encoder under no_grad"):
                ea, eb = model(a), model(b)
            if margin:
                loss = triplet(ea, eb)
            elif fault == "no negatives":
                loss = (1 - (ea * eb).sum(1)).mean()
            else:
                loss = info_nce(ea, eb, model.log_scale.exp() if learned_scale else scale)
            if fault == "loss negated":
                loss = -loss
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 100.0)
            optimizer.step()
            losses.append(loss.item())
            if log_steps:
                rec.step(loss=loss, grad_norm=norm, lr=lr, samples=len(part))
        metrics = {} if log_steps else {"train/loss": sum(losses) / len(losses)}
        if validate:
            with torch.no_grad():
                ea, eb = model(held_a), model(held_b)
                near = (ea @ eb.T).argmax(1) == torch.arange(PAIRS)
                metrics["val/loss"] = (triplet(ea, eb) if margin else info_nce(ea, eb, scale)).item()
            metrics |= {"val/top1": near.float().mean().item(), "val/embedding_std": ea.std(0).mean().item()}
        if learned_scale:
            metrics["logit_scale"] = model.log_scale.exp().item()
        rec.epoch(epoch, **metrics)


CONFIG = {"epochs": 12, "batch_size": 64, "temperature": 0.1}


PROGRAMS: Sequence[Program] = (
    healthy("pairs_plain", "the loss begins near ln 64; names with a slash", train, config=CONFIG),
    healthy(
        "pairs_no_validation",
        "no validation and no steps, only a train loss an epoch, from epoch 0",
        partial(train, validate=False, log_steps=False, first=0, epochs=6),
    ),
    healthy(
        "pairs_margin",
        "a margin that is soon satisfied: the loss is near 0, in many steps exactly 0",
        partial(train, margin=True, epochs=15, batch=16),
        config={"epochs": 15, "margin": 0.3},
    ),
    healthy(
        "pairs_learned_scale",
        "the temperature is learned: validation, at a fixed one, moves at another pace than training",
        partial(train, learned_scale=True, lr=5e-3, epochs=10),
        config={"epochs": 10, "lr": 5e-3},
    ),
    healthy(
        "pairs_of_four",
        "four pairs a batch: the loss of a step is anything between 0 and 2",
        partial(train, batch=4, rows=768, epochs=5, lr=1e-3),
        config={"epochs": 5, "batch_size": 4, "temperature": 0.1},
    ),
    broken(
        "pairs_no_negatives",
        "no negatives in the loss",
        "collapsed_representation",
        "the train loss goes to 0, with it the spread of the embeddings, and retrieval falls by half",
        partial(train, fault="no negatives", lr=1e-2, epochs=20),
        config={"epochs": 20},
    ),
    broken(
        "pairs_temperature_inverted",
        "similarities multiplied by the temperature instead of divided",
        "wrong_scale",
        "the loss stays within a twentieth of ln 64, its largest value, though retrieval gets good",
        partial(train, scale=0.1),
        config=CONFIG,
    ),
    broken(
        "pairs_no_grad",
        "the encoder runs under no_grad, only the temperature learns",
        "weights_never_move not_learning",
        "retrieval and spread are the same number in every epoch while the train loss moves a little",
        partial(train, fault="encoder under no_grad", learned_scale=True),
        config={"epochs": 12, "batch_size": 64},
    ),
    broken(
        "pairs_torn",
        "pairs torn apart by shuffling one view",
        "label_mismatch not_learning collapsed_representation",
        "the train loss ends at ln 64 and retrieval stays that of an encoder with random weights",
        partial(train, fault="pairs torn apart", epochs=8),
        config={**CONFIG, "epochs": 8},
    ),
    broken(
        "pairs_same",
        "both views are the same tensor, in validation, too",
        "target_leak",
        "retrieval is 1.0 in every epoch from the first, and the loss starts far below ln 64",
        partial(train, fault="both views are the same", epochs=8),
        config={**CONFIG, "epochs": 8},
    ),
    broken(
        "pairs_negated",
        "sign of the loss wrong",
        "loss_sign diverging",
        "a contrastive loss below 0 that only falls, while validation climbs far above ln 128 and retrieval to chance",
        partial(train, fault="loss negated", epochs=8),
        config={**CONFIG, "epochs": 8},
    ),
)
