"""Sequences of symbols, a recurrent net that reads them and answers one question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder
from suites.gallery.program import Program, broken, healthy

SYMBOLS = 10


def which_came_first(count: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Of the symbols 0 to 3 two stand somewhere among noise; the first of them is the label."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(4, SYMBOLS, (count, length), generator=draw)
    places = torch.rand(count, length, generator=draw).topk(2).indices.sort(1).values
    marks = torch.rand(count, 4, generator=draw).topk(2).indices
    return x.scatter(1, places, marks), marks[:, 0]


def first_symbol(count: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """The label is the first symbol, and must be kept until the end."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(SYMBOLS, (count, length), generator=draw)
    return x, x[:, 0] % 4


def parity(count: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    x = torch.randint(2, (count, length), generator=torch.Generator().manual_seed(seed))
    return x, x.sum(1) % 2


def rare_mark(count: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Class 1, one sequence in sixteen, has the symbol 0 in its first half; so has one in five of the others."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(1, SYMBOLS, (count, length), generator=draw)
    rare, marked = torch.rand(count, generator=draw) < 0.06, torch.rand(count, generator=draw) < 0.2
    rows = (rare | marked).nonzero().flatten()
    x[rows, torch.randint(length // 2, (len(rows),), generator=draw)] = 0
    return x, rare.long()


class Reader(nn.Module):
    def __init__(self, classes: int, kind: str = "gru", width: int = 32, gain: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Embedding(SYMBOLS, 16)
        if kind == "gru":
            self.cell: nn.Module = nn.GRU(16, width, batch_first=True)
        else:
            self.cell = nn.RNN(16, width, nonlinearity=kind, batch_first=True)
        if gain:
            nn.init.orthogonal_(self.cell.weight_hh_l0, gain)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(self.table(x))[0][:, -1])  # type: ignore[no-any-return]


def train(
    rec: Recorder,
    *,
    fault: str = "",
    data: str = "order",
    epochs: int = 15,
    lr: float = 5e-3,
    length: int = 16,
    rows: int = 768,
    batch: int = 32,
    kind: str = "gru",
    gain: float = 0.0,
    clip: float = 1.0,
    weights: tuple[float, ...] = (),
    restarts: int = 0,
    gamma: float = 0.0,
    scaler: bool = False,
    first: int = 1,
    log_lr: bool = True,
) -> None:
    make = {"order": which_came_first, "first": first_symbol, "parity": parity, "rare": rare_mark}[data]
    x, y = make(rows, length, 1)
    ex, ey = make(256, length, 2)
    classes = 2 if data in ("parity", "rare") else 4
    model = Reader(classes, kind, gain=gain)
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    if fault == "gradients never cleared":
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    per_epoch = math.ceil(rows / batch)
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None
    if restarts:  # linear warm-up over an epoch, then a cosine that starts again every few epochs

        def share(step: int) -> float:
            at = (step - per_epoch) % (restarts * per_epoch) / (restarts * per_epoch)
            return step / per_epoch if step < per_epoch else 0.02 + 0.49 * (1 + math.cos(math.pi * at))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    elif gamma:
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=gamma)  # meant: every 5 epochs
    per_step = bool(restarts) or fault == "scheduler stepped per batch"
    scale, good = (2.0**26 if scaler else 1.0), 0
    balance = torch.tensor(weights) if weights else None
    for epoch in range(first, first + epochs):
        if fault == "model made anew in each epoch":
            model = Reader(classes, kind, gain=gain)
            optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        losses = []
        for part in torch.randperm(rows).split(batch):
            loss = F.cross_entropy(model(x[part]), y[part], weight=balance)
            if fault != "gradients never cleared":
                optimizer.zero_grad()
            (loss * scale).backward()
            if scaler:  # what half precision makes of the scaled gradients
                for parameter in model.parameters():
                    parameter.grad = parameter.grad.half().float() / scale
            norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
            used = optimizer.param_groups[0]["lr"]
            if norm.isfinite():
                optimizer.step()
            if scaler:
                good = good + 1 if norm.isfinite() else 0
                scale *= 0.5 if good == 0 else 2.0 if good % 100 == 0 else 1.0
            if schedule and per_step:
                schedule.step()
            rec.step(loss=loss, grad_norm=norm, lr=used if log_lr else None, samples=len(part))
            losses.append(loss.item())
        if schedule and not per_step:
            schedule.step()
        with torch.no_grad():
            out = model(ex)
        answer = out.argmax(1)
        figures = {"eval_loss": F.cross_entropy(out, ey).item(), "eval_accuracy": (answer == ey).float().mean().item()}
        if data == "rare":
            recalls = [(answer[ey == k] == k).float().mean().item() for k in (0, 1)]
            figures |= {"eval_recall": recalls[1], "eval_balanced_accuracy": sum(recalls) / 2}
        rec.epoch(epoch, train_loss=sum(losses) / len(losses), **figures)


RARE = {"epochs": 9, "classes": 2, "positive_share": 0.06}


PROGRAMS: Sequence[Program] = (
    healthy("sequence_plain", "gradients are clipped, their norm falls", train, config={"epochs": 15, "lr": 5e-3}),
    healthy(
        "sequence_parity",
        "parity: nothing is learned for a third of the run, then everything within an epoch or two",
        partial(train, data="parity", length=6, rows=512, epochs=40, first=0, log_lr=False),
        config={"max_epochs": 40},
    ),
    healthy(
        "sequence_restarts",
        "warm-up and cosine restarts: the rate falls to a fiftieth and leaps up again, twice",
        partial(train, restarts=6, epochs=19, lr=1e-2),
        config={"epochs": 19, "schedule": "cosine restarts", "lr": 1e-2},
    ),
    healthy(
        "sequence_rare_weighted",
        "one class in sixteen, with weights: recall 1 is bought with an accuracy below the share of the majority",
        partial(train, data="rare", weights=(1.0, 16.0), rows=2048, length=8, lr=2e-3, epochs=9),
        config={**RARE, "class_weights": [1.0, 16.0]},
    ),
    healthy(
        "sequence_scaler",
        "a gradient scaler skips its first steps: gradient norms of inf or NaN, no update, nothing wrong",
        partial(train, scaler=True, clip=1e9),
        config={"epochs": 15, "amp": True},
    ),
    broken(
        "sequence_exploding",
        "recurrent weights too large, no clipping",
        "exploding_gradient",
        "gradient norms of hundreds to thousands from the first step to the last, and the loss stays at ln 4",
        partial(train, kind="tanh", gain=2.5, length=40, clip=float("inf"), epochs=10),
        config={"epochs": 10, "lr": 5e-3},
    ),
    broken(
        "sequence_vanishing",
        "recurrent weights so small that no gradient reaches the first symbol",
        "vanishing_gradient not_learning",
        "flat at ln 4 and at chance from start to end",
        partial(train, data="first", kind="tanh", gain=0.4, length=40, rows=1536, lr=1e-3, epochs=8),
        config={"epochs": 8, "num_classes": 4},
    ),
    broken(
        "sequence_gradients_kept",
        "gradients never cleared",
        "gradients_not_cleared",
        "the gradient norm only grows, whatever the loss does, and the loss swings",
        partial(train, fault="gradients never cleared", lr=0.02, clip=float("inf")),
        config={"epochs": 15, "lr": 0.02},
    ),
    broken(
        "sequence_made_anew",
        "the model is made anew in each epoch",
        "weights_reset",
        "the loss leaps back to ln 4 at the start of each epoch, and no epoch is better than the first",
        partial(train, fault="model made anew in each epoch", data="first", length=7, batch=16, rows=1536, epochs=8),
        config={"epochs": 8},
    ),
    broken(
        "sequence_rate_tiny",
        "learning rate divided by 1000",
        "learning_rate_too_low",
        "the loss falls by a hair in each epoch, steadily, and ends near ln 4",
        partial(train, lr=5e-6),
        config={"epochs": 15, "lr": 5e-6},
    ),
    broken(
        "sequence_scheduler_per_batch",
        "scheduler stepped per batch instead of per epoch",
        "schedule_ended_early schedule_wrong",
        "the logged rate is halved every five steps: after two epochs nothing is left, and all stands still",
        partial(train, fault="scheduler stepped per batch", gamma=0.5),
        config={"epochs": 15, "lr": 5e-3, "scheduler": "StepLR", "step_size": 5, "gamma": 0.5},
    ),
    broken(
        "sequence_majority",
        "rare class without weights",
        "class_imbalance",
        "accuracy is the share of the majority in each epoch and recall is 0: one class is all it ever answers",
        partial(train, data="rare", rows=2048, length=8, lr=2e-3, epochs=9),
        config=RARE,
    ),
)
