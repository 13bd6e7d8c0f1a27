"""Three ordinary training loops, each of a few seconds: a classifier, a language model and a regression.

Plain PyTorch as people write it, recorded with five calls; nothing in them knows of the self-test.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lvmcheck import Recorder

CLASSES, WIDTH = 5, 20
SYMBOLS, LENGTH = 12, 16


# -- a classifier ------------------------------------------------------------------------------------------------------
def blobs(rows: int, centres: Tensor) -> TensorDataset:
    """Five clouds of points."""
    labels = torch.randint(CLASSES, (rows,))
    return TensorDataset(centres[labels] + torch.randn(rows, WIDTH), labels)


def classifier(config: dict[str, Any], rec: Recorder) -> None:
    """SGD with momentum and cosine decay on a network with batch norm and dropout."""
    torch.manual_seed(config["seed"])
    centres = 0.8 * torch.randn(CLASSES, WIDTH)
    train = DataLoader(blobs(1500, centres), batch_size=50, shuffle=True)
    val = DataLoader(blobs(500, centres), batch_size=100)
    model = nn.Sequential(
        nn.Linear(WIDTH, 48),
        nn.BatchNorm1d(48),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(48, 24),
        nn.ReLU(),
        nn.Linear(24, CLASSES),
    )
    optimizer = torch.optim.SGD(model.parameters(), config["lr"], momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config["epochs"] * len(train))
    watcher = rec.watch(model, optimizer, schedule, train=train, val=val)
    for epoch in range(1, config["epochs"] + 1):
        model.train()
        losses, right = [], 0
        for inputs, labels in watcher.train:
            logits = model(inputs)
            loss = functional.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            rec.step(
                loss=loss, terms={"ce": (1.0, loss)}, grad_norm=norm, lr=float(schedule.get_last_lr()[0]), samples=50
            )
            schedule.step()
            losses.append(loss.item())
            right += int((logits.argmax(1) == labels).sum())
        model.eval()
        with torch.no_grad():
            pairs = [(model(inputs), labels) for inputs, labels in watcher.val]
            logits, labels = torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])
        rec.epoch(
            epoch,
            train_loss=sum(losses) / len(losses),
            train_accuracy=right / 1500,
            lr=optimizer.param_groups[0]["lr"],
            val_loss=functional.cross_entropy(logits, labels),
            val_accuracy=(logits.argmax(1) == labels).float().mean(),
        )
        if rec.stop:
            return


# -- a language model --------------------------------------------------------------------------------------------------
def text(rows: int, follows: Tensor) -> TensorDataset:
    """Sequences of symbols in which the next one depends on the last two."""
    rolled = [torch.randint(SYMBOLS, (rows,)), torch.randint(SYMBOLS, (rows,))]
    for _ in range(LENGTH - 1):
        rolled.append(torch.multinomial(follows[rolled[-2], rolled[-1]], 1)[:, 0])
    return TensorDataset(torch.stack(rolled, 1))


class Reader(nn.Module):
    """Embedding, GRU, head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS, 24)
        self.gru = nn.GRU(24, 48, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(48, SYMBOLS)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.gru(self.embed(tokens))[0]))
        return logits


def next_symbol(model: nn.Module, batch: Iterable[Tensor]) -> Tensor:
    (tokens,) = batch
    return functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def language(config: dict[str, Any], rec: Recorder) -> None:
    """AdamW with warm-up on a small recurrent language model."""
    torch.manual_seed(config["seed"])
    follows = torch.softmax(2.5 * torch.randn(SYMBOLS, SYMBOLS, SYMBOLS), 2)
    train = DataLoader(text(1200, follows), batch_size=32, shuffle=True)
    val = DataLoader(text(256, follows), batch_size=64)
    model = Reader()
    optimizer = torch.optim.AdamW(model.parameters(), config["lr"], weight_decay=0.01)
    total = config["epochs"] * len(train)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config["lr"], total_steps=total, pct_start=0.1)
    watcher = rec.watch(model, optimizer, schedule, train=train, val=val)
    for epoch in range(1, config["epochs"] + 1):
        model.train()
        losses = []
        for batch in watcher.train:
            loss = next_symbol(model, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            rec.step(
                loss=loss, terms={"nll": (1.0, loss)}, grad_norm=norm, lr=float(schedule.get_last_lr()[0]), samples=32
            )
            if rec.steps < total:
                schedule.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            val_loss = torch.stack([next_symbol(model, batch) for batch in watcher.val]).mean()
        rec.epoch(epoch, train_loss=sum(losses) / len(losses), val_loss=val_loss, lr=optimizer.param_groups[0]["lr"])
        if rec.stop:
            return


# -- a regression ------------------------------------------------------------------------------------------------------
def curve(rows: int) -> TensorDataset:
    """Eight inputs, a smooth function of three of them, and noise."""
    inputs = torch.randn(rows, 8)
    value = torch.sin(2 * inputs[:, 0]) + inputs[:, 1] * inputs[:, 2]
    return TensorDataset(inputs, (value + 0.1 * torch.randn(rows))[:, None])


def regression(config: dict[str, Any], rec: Recorder) -> None:
    """Adam on two loss terms, squared error and its absolute value."""
    torch.manual_seed(config["seed"])
    train = DataLoader(curve(2000), batch_size=40, shuffle=True)
    val = DataLoader(curve(500), batch_size=100)
    model = nn.Sequential(nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(model.parameters(), config["lr"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config["epochs"] * len(train))
    watcher = rec.watch(model, optimizer, schedule, train=train, val=val)
    for epoch in range(1, config["epochs"] + 1):
        model.train()
        losses = []
        for inputs, wanted in watcher.train:
            output = model(inputs)
            squared, absolute = functional.mse_loss(output, wanted), functional.l1_loss(output, wanted)
            loss = squared + 0.1 * absolute
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            terms = {"mse": (1.0, squared), "mae": (0.1, absolute)}
            rec.step(loss=loss, terms=terms, grad_norm=norm, lr=float(schedule.get_last_lr()[0]), samples=40)
            schedule.step()
            losses.append(squared.item())
        model.eval()
        with torch.no_grad():
            pairs = [(model(inputs), wanted) for inputs, wanted in watcher.val]
            output, wanted = torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])
        error = functional.mse_loss(output, wanted)
        rate = optimizer.param_groups[0]["lr"]
        rec.epoch(epoch, train_mse=sum(losses) / len(losses), val_mse=error, val_r2=1 - error / wanted.var(), lr=rate)
        if rec.stop:
            return
