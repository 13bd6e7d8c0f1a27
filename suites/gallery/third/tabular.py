"""Rows of 16 numbers in ten classes: a small network with momentum, one line of losses and accuracy per epoch."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def rows(n: int, spread: float, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 2, 16, generator=torch.Generator().manual_seed(5)) * 1.2
    y = torch.randint(0, classes, (n,), generator=g)
    half = torch.randint(0, 2, (n,), generator=g)
    return centres[y, half] + spread * torch.randn(n, 16, generator=g), y


def train(
    rec: Recorder,
    *,
    epochs: int = 12,
    lr: float = 0.05,
    spread: float = 1.2,
    n: int = 1500,
    n_val: int = 600,
    classes: int = 10,
    width: int = 64,
    drop: float = 0.0,
    smooth: float = 0.0,
    sched: str = "",
    style: str = "plain",
    patience: int = 0,
    decay: float = 0.0,
    bug: str = "",
) -> None:
    x, y = rows(n, spread, classes, 1)
    xv, yv = rows(n_val, spread, classes, 2)
    if bug == "shuffled":
        y = y[torch.randperm(n)]
    if bug == "sorted":
        order = y.argsort()
        x, y = x[order], y[order]
    if bug == "val_stats":
        xv = (xv - 3.0) / 4.0
    if bug == "val_labels":
        yv = (yv + 1) % classes
    if bug == "noise":
        flip = torch.rand(n) < 0.45
        y = torch.where(flip, torch.randint(0, classes, (n,)), y)

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Linear(16, width), nn.ReLU(), nn.Dropout(drop), nn.Linear(width, width), nn.ReLU(), nn.Dropout(drop),
            nn.Linear(width, classes),
        )  # fmt: skip

    model = build()
    opt = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
    per = (n + 63) // 64
    schedule = None
    if sched == "onecycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=lr, total_steps=per * epochs)
    if sched == "cosine":
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, per * epochs)
    if sched == "restarts":
        schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, per * 4)
    if sched == "per_batch":  # meant to be called once an epoch
        schedule = torch.optim.lr_scheduler.StepLR(opt, 3, 0.3)
    best, waited = 9e9, 0
    for epoch in range(1, epochs + 1):
        if bug == "rebuilt":
            model = build()
            opt = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        model.train()
        total = right = 0.0
        order = torch.arange(n) if bug == "sorted" else torch.randperm(n)
        for i in order.split(64):
            out = model(x[i])
            if bug == "softmax_twice":
                out = out.softmax(1)
            loss = F.cross_entropy(out, y[i], label_smoothing=smooth)
            if bug == "sign":
                loss = -loss
            if bug != "no_clear":
                opt.zero_grad()
            loss.backward()
            opt.step()
            if schedule:
                schedule.step()
            total += loss.item() * len(i)
            right += (out.argmax(1) == y[i]).sum().item()
        if bug != "stays_train":
            model.eval()
        with torch.no_grad():
            out = model(xv)
            if bug == "softmax_twice":
                out = out.softmax(1)
            val = F.cross_entropy(out, yv).item()
            acc = (out.argmax(1) == yv).float().mean().item()
            if bug == "acc_dim":
                acc = (out.argmax(0)[:, None] == yv).float().mean().item()
        tl, ta = total / n, right / n
        if style == "plain":
            rec.epoch(epoch, train_loss=tl, val_loss=val, val_acc=acc)
        elif style == "both":
            rec.epoch(epoch, train_loss=tl, train_acc=ta, val_loss=val, val_acc=acc)
        elif style == "percent":
            rec.epoch(epoch, **{"train/loss": tl, "train/top1": 100 * ta, "test/loss": val, "test/top1": 100 * acc})
        elif style == "alias":
            rec.epoch(epoch, loss=tl, train_loss=tl, val_loss=val, validation_loss=val, accuracy=acc, val_accuracy=acc)
        elif style == "errors":
            rec.epoch(epoch, train_loss=tl, error_rate=1 - acc, lr=opt.param_groups[0]["lr"])
        elif style == "sum":
            rec.epoch(epoch, train_loss=tl, val_loss=val * n_val, correct=int(acc * n_val))
        elif style == "losses":
            rec.epoch(epoch, train_loss=tl, val_loss=val)
        elif style == "lr":
            rec.epoch(epoch, train_loss=tl, val_loss=val, val_acc=acc, lr=opt.param_groups[0]["lr"])
        if patience:
            waited = 0 if val < best - 1e-3 else waited + 1
            best = min(best, val)
            if waited >= patience:
                break


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "tabular_lr_3e6",
        "learning rate 3e-6",
        "learning_rate_too_low not_learning weights_never_move learning_rate_zero",
        "ten classes, and the loss hardly moves from ln 10",
        p(lr=3e-6),
        config={"lr": 3e-6, "epochs": 12},
        seed=2,
    ),
    broken(
        "tabular_y_permuted",
        "labels permuted against the rows",
        "label_mismatch label_noise overfitting",
        "training loss falls, validation is at chance and worse",
        p(bug="shuffled", epochs=25, width=128),
        seed=3,
    ),
    broken(
        "tabular_by_class",
        "rows sorted by class, never shuffled",
        "data_order",
        "training accuracy is below chance within an epoch and below validation, which jumps about",
        p(bug="sorted", style="both"),
        seed=4,
    ),
    broken(
        "tabular_softmax_twice",
        "softmax before cross_entropy",
        "wrong_scale vanishing_gradient",
        "a high floor under the loss, as label smoothing has",
        p(bug="softmax_twice"),
        visible=False,
        seed=5,
    ),
    broken(
        "tabular_no_zero_grad",
        "optimizer.zero_grad() forgotten",
        "gradients_not_cleared learning_rate_too_high diverging exploding_gradient not_learning",
        "loss climbs and swings",
        p(bug="no_clear", lr=0.08, style="losses"),
        seed=6,
    ),
    broken(
        "tabular_rebuilt",
        "the model is built in the epoch loop",
        "weights_reset not_learning",
        "every epoch begins anew, the figures do not get better",
        p(bug="rebuilt", style="both"),
        seed=7,
    ),
    broken(
        "tabular_val_stats",
        "validation rows standardised with other numbers",
        "validation_differs label_mismatch overfitting",
        "training is fine, validation is poor from the start",
        p(bug="val_stats", style="both"),
        seed=8,
    ),
    broken(
        "tabular_val_labels",
        "validation classes counted from 1",
        "label_mismatch validation_differs",
        "validation accuracy below chance while training is fine",
        p(bug="val_labels", style="percent"),
        seed=9,
    ),
    broken(
        "tabular_acc_axis",
        "argmax over the wrong axis in the accuracy",
        "metric_constant label_mismatch validation_differs",
        "val loss is fine, accuracy at chance",
        p(bug="acc_dim"),
        seed=11,
    ),
    broken(
        "tabular_sched_per_batch",
        "StepLR stepped per batch",
        "schedule_ended_early schedule_wrong learning_rate_zero learning_rate_too_low not_learning",
        "everything freezes in the first epoch, the rate is 0",
        p(sched="per_batch", style="lr"),
        seed=12,
    ),
    broken(
        "tabular_sign",
        "loss negated",
        "loss_sign diverging numeric_range exploding_gradient",
        "the cross entropy is negative",
        p(bug="sign"),
        seed=13,
    ),
    broken(
        "tabular_noisy",
        "45% of the training labels are random",
        "label_noise label_mismatch overfitting",
        "train accuracy is below validation accuracy and climbs while validation falls",
        p(bug="noise", style="both", epochs=40, width=128),
        seed=14,
    ),
    healthy("tabular_plain", "nothing special", p(), seed=20),
    healthy(
        "tabular_smoothing",
        "label smoothing 0.2: a floor under the training loss",
        p(smooth=0.2, style="both"),
        seed=21,
    ),
    healthy(
        "tabular_dropout",
        "heavy dropout: training figures worse than validation",
        p(drop=0.6, style="both", epochs=15),
        seed=22,
    ),
    healthy(
        "tabular_onecycle",
        "one-cycle: the last epochs are frozen",
        p(sched="onecycle", lr=0.12, style="lr", epochs=14),
        config={"lr": 0.12, "epochs": 14},
        seed=23,
    ),
    healthy("tabular_restarts", "warm restarts", p(sched="restarts", lr=0.1, style="lr", epochs=12), seed=24),
    healthy(
        "tabular_stopped_by_patience",
        "ends by itself after 5 epochs without gain",
        p(epochs=100, patience=5, decay=2e-3, lr=0.03),
        config={"epochs": 100, "patience": 5},
        seed=25,
    ),
    healthy("tabular_toy", "accuracy 1.0 at once", p(spread=0.3, style="both", epochs=8), seed=26),
    healthy("tabular_tiny_val", "40 rows of validation", p(n_val=40, style="percent", decay=1e-3), seed=27),
    healthy("tabular_aliases", "each figure under two names", p(style="alias"), seed=28),
    healthy("tabular_sums", "sums for validation, means for training", p(style="sum"), seed=29),
    healthy("tabular_error_rate", "only an error rate", p(style="errors", sched="cosine"), seed=30),
    healthy(
        "tabular_20_classes",
        "20 hard classes",
        p(classes=20, spread=2.2, style="both", decay=5e-3, epochs=10, lr=0.02),
        seed=31,
    ),
    healthy(
        "tabular_interpolates",
        "training loss to 0.001, validation accuracy stays high",
        p(spread=0.8, epochs=30, width=256, n=1200, style="both"),
        seed=32,
    ),
    healthy(
        "tabular_noisy_both",
        "losses alone, hard classes, small steps: a gain of a tenth",
        p(spread=3.5, lr=2e-3, epochs=10, n=3000, style="losses", decay=1e-2),
        seed=33,
    ),
]
