"""A pretrained trunk tuned to a few labels of a neighbouring task."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import CrashError, broken, healthy

TEACH = torch.Generator().manual_seed(40)
CENTRES = 0.9 * torch.randn(8, 20, generator=TEACH)


def rows(n: int, seed: int, shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 8, (n,), generator=g)
    return CENTRES[y] + shift + 1.2 * torch.randn(n, 20, generator=g), y


def train(
    rec: Recorder,
    *,
    epochs: int = 6,
    lr: float = 5e-4,
    shift: float = 0.3,
    n: int = 500,
    style: str = "hf",
    freeze: bool = False,
    new_head: bool = False,
    labels: int = 8,
    bug: str = "",
) -> None:
    x, y = rows(3000, 1, 0.0)
    trunk, head = nn.Sequential(nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1)), nn.Linear(64, 8)
    net = nn.Sequential(trunk, head)
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(3):
        for k in torch.randperm(3000).split(100):
            opt.zero_grad()
            F.cross_entropy(net(x[k]), y[k]).backward()
            opt.step()
    x, y = rows(n, 3, shift)
    xv, yv = rows(400, 4, shift)
    if labels == 2:
        y, yv = (y == 0).long(), (yv == 0).long()
        net[1] = nn.Linear(64, 2)
    if new_head:
        net[1] = nn.Linear(64, 8)
    if bug == "label_map":
        y = 7 - y
    if bug == "head_frozen":
        net[1] = nn.Linear(64, 8)
        net.requires_grad_(False)
        trunk[1].bias.requires_grad_(True)
    if bug == "old_parameters":
        net = nn.Sequential(nn.Sequential(nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU()), nn.Linear(64, 8))
        opt = torch.optim.AdamW([*trunk.parameters(), *head.parameters()], lr=lr)
    else:
        trainable = net[1].parameters() if freeze else [q for q in net.parameters() if q.requires_grad]
        opt = torch.optim.AdamW(trainable, lr=lr, weight_decay=0.01)
    per = (n + 24) // 25
    for epoch in range(epochs):
        net.train()
        total = 0.0
        for j, k in enumerate(torch.randperm(n).split(25)):
            f = 1 - (epoch * per + j) / (epochs * per)
            if bug == "warm_for_ever":
                f = (epoch * per + j) / (50 * epochs * per)
            opt.param_groups[0]["lr"] = lr * f
            out = net(x[k])
            loss = F.cross_entropy(out, y[k])
            opt.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            total += loss.item() / per
            if style == "hf" and (epoch * per + j + 1) % 10 == 0:
                rec.log(
                    {"loss": loss.item(), "learning_rate": lr * f, "grad_norm": float(norm)}, step=epoch * per + j + 1
                )
            elif style == "steps":
                rec.step(loss=loss, lr=lr * f, grad_norm=norm)
            if bug == "crash" and epoch == 2 and j == 7:
                raise CrashError("no space left on device")
        net.eval()
        with torch.no_grad():
            out, target = net(xv), yv
            pred = out.argmax(1)
            if bug == "eval_old":
                pred = nn.Sequential(trunk, head)(xv).argmax(1) * 0
            acc, val = (pred == target).float().mean().item(), F.cross_entropy(out, target).item()
            hit = ((pred == 1) & (target == 1)).sum().item()
            f1 = 2 * hit / max(1, (pred == 1).sum().item() + (target == 1).sum().item())
        if style in ("hf", "steps"):
            rec.epoch(epoch, eval_loss=val, eval_accuracy=acc)
        elif style == "f1":
            rec.epoch(epoch, train_loss=total, eval_loss=val, eval_f1=f1, eval_accuracy=acc)
        elif style == "losses":
            rec.epoch(epoch, train_loss=total, eval_loss=val)


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "finetune_label_map",
        "the table of labels is reversed in training",
        "label_mismatch validation_differs overfitting",
        "evaluation gets worse than chance while training falls",
        p(bug="label_map", lr=3e-3, epochs=8, style="f1"),
        seed=1,
    ),
    broken(
        "finetune_old_parameters",
        "the optimizer holds the parameters of the model before",
        "weights_never_move not_learning learning_rate_zero learning_rate_too_low",
        "loss and accuracy stay at chance",
        p(bug="old_parameters"),
        seed=2,
    ),
    broken(
        "finetune_head_frozen",
        "the new head is frozen with the rest",
        "not_learning weights_never_move learning_rate_too_low vanishing_gradient",
        "hardly any gain from chance",
        p(bug="head_frozen", style="steps"),
        seed=3,
    ),
    broken(
        "finetune_warm_for_ever",
        "the warm-up is 50 times as long as the run",
        "schedule_wrong learning_rate_too_low not_learning",
        "the rate is still rising at the end, nothing is learnt",
        p(bug="warm_for_ever", style="steps", new_head=True, lr=5e-4),
        config={"lr": 5e-4, "epochs": 6},
        seed=4,
    ),
    broken(
        "finetune_full_disk",
        "the disk is full in the third epoch",
        "interrupted",
        "the run ends with an error",
        p(bug="crash", style="hf"),
        config={"epochs": 6},
        seed=5,
    ),
    broken(
        "finetune_rate_of_pretraining",
        "rate 1.0",
        "learning_rate_too_high diverging exploding_gradient not_learning weights_reset",
        "what the trunk knew is lost",
        p(lr=1.0, style="steps"),
        seed=6,
    ),
    broken(
        "finetune_predicts_zero",
        "predictions are multiplied by 0",
        "metric_constant class_imbalance label_mismatch validation_differs",
        "eval loss falls, accuracy and f1 stand still",
        p(bug="eval_old", style="f1", new_head=True, lr=2e-3),
        seed=7,
    ),
    healthy("finetune_plain", "little gain over the start", p(shift=0.1), seed=20),
    healthy(
        "finetune_hardly_any", "nothing to gain: figures stand still at a good value", p(shift=0.0, lr=1e-4), seed=21
    ),
    healthy(
        "finetune_frozen_trunk",
        "only the head is trained",
        p(freeze=True, new_head=True, lr=5e-3, style="steps"),
        seed=22,
    ),
    healthy(
        "finetune_one_in_eight",
        "imbalance: accuracy above 90% at once, f1 moves little",
        p(labels=2, style="f1", lr=3e-4, epochs=10),
        seed=23,
    ),
    healthy(
        "finetune_few_rows",
        "80 rows: four batches an epoch, evaluation hardly moves",
        p(n=80, style="losses", lr=2e-3, epochs=12),
        seed=24,
    ),
]
