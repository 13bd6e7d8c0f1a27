"""A small CNN on drawn shapes: records each step, evaluates each epoch, accuracy in percent."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import nn

from suites.gallery.program import CrashError, Interrupted, broken, healthy


def draw(n, noise=0.5):
    g = np.random
    yy, xx = np.mgrid[0:12, 0:12]
    images, labels = np.zeros((n, 1, 12, 12), np.float32), g.randint(0, 6, n)
    for i, kind in enumerate(labels):
        cx, cy, r = g.uniform(4, 8), g.uniform(4, 8), g.uniform(2.2, 3.8)
        dx, dy = xx - cx, yy - cy
        d = np.hypot(dx, dy)
        m = [
            d < r,
            (abs(d - r) < 0.8),
            (abs(dx) < r) & (abs(dy) < r),
            ((abs(dx) < 1) | (abs(dy) < 1)) & (d < r + 1),
            (abs(dx - dy) < 1.2) & (d < r + 1),
            (dy > -r) & (dy < r) & (abs(dx) < (dy + r) / 2),
        ][kind]
        images[i, 0] = m
    images += noise * g.randn(*images.shape)
    return torch.from_numpy(images), torch.from_numpy(labels)


class Net(nn.Module):
    def __init__(self, last_relu=False):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(24 * 9, 6)
        self.last_relu = last_relu

    def forward(self, x):
        out = self.head(self.body(x))
        return out.relu() if self.last_relu else out


def evaluate(model, x, y, criterion):
    with torch.no_grad():
        out = model(x)
    return criterion(out, y).item(), 100 * (out.argmax(1) == y).float().mean().item()


def main(
    rec,
    bug="",
    epochs=12,
    lr=0.05,
    bs=50,
    n=1000,
    nv=300,
    schedule="cosine",
    log_lr=True,
    log_norm=True,
    aug=False,
    clip=0.0,
    noise=0.5,
    crash=0,
    train_acc=True,
):
    x, y = draw(n, noise)
    xv, yv = draw(nv, noise)
    if bug == "val inverted":
        xv = 1 - xv
    model = Net(last_relu=bug == "last relu")
    if bug == "one class":
        y = torch.zeros_like(y)
    if bug == "zero init":
        for p in model.parameters():
            nn.init.zeros_(p)
    reduction = "sum" if bug == "sum" else "mean"
    criterion = nn.CrossEntropyLoss(reduction=reduction)
    if bug == "weights inverted":
        criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1e-4]))
    params = [model.head.bias] if bug == "only bias" else model.parameters()
    optimizer = torch.optim.SGD(params, lr=lr, momentum=0.9, weight_decay=3.0 if bug == "decay" else 1e-4)
    per_epoch = n // bs
    scheduler = {
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * per_epoch),
        "onecycle": lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs * per_epoch),
        "restarts": lambda: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4 * per_epoch),
        "step": lambda: torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.3),
        "none": lambda: None,
    }[schedule]()
    count = correct = seen = 0
    for epoch in range(epochs):
        model.train()
        if bug not in ("accumulated",):
            correct = seen = 0
        for rows in torch.randperm(n).split(bs):
            if bug == "same batch":
                rows = torch.arange(bs)
            xb, yb = x[rows], y[rows]
            if aug:
                if torch.rand(1) < 0.5:
                    xb = torch.roll(xb, (int(torch.randint(-2, 3, (1,))), int(torch.randint(-2, 3, (1,)))), (2, 3))
                xb = xb * (torch.rand_like(xb) > 0.2) + 0.2 * torch.randn_like(xb)
            out = model(xb)
            if bug == "detach":
                out = model.head(model.body(xb).detach().mean(1, keepdim=True).expand(-1, 216))
            loss = criterion(out, yb)
            if bug == "nan" and count > 130:
                loss = loss + (out.detach() * 0).log().sum() * 0
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1e-6 if bug == "clip" else clip or 1e9)
            extra = {"lr": optimizer.param_groups[0]["lr"]} if log_lr else {}
            if log_norm:
                extra["grad_norm"] = norm
            optimizer.step()
            if scheduler and (schedule != "step" or bug == "scheduler per batch"):
                scheduler.step()
            correct += (out.argmax(1) == yb).sum().item()
            seen += len(yb)
            rec.step(loss=loss, **extra)
            count += 1
            if crash and count == crash:
                raise (Interrupted() if bug == "ctrl-c" else CrashError("CUDA out of memory"))
        if scheduler and schedule == "step" and bug != "scheduler per batch":
            scheduler.step()
        if bug != "train mode":
            model.eval()
        vl, va = evaluate(model, xv, yv, criterion)
        out = {"eval_loss": vl, "top1": va}
        if train_acc:
            out["train_top1"] = 100 * correct / seen
        if bug == "metric constant":
            out["top1"] = 100 * (torch.zeros(nv) == yv).float().mean().item()
        rec.epoch(epoch, **out)


CFG = {"lr": 0.05, "epochs": 12, "batch_size": 50}
P = partial
PROGRAMS = [
    broken(
        "shapes-scheduler-per-batch",
        "StepLR is stepped per batch",
        "schedule_ended_early schedule_wrong learning_rate_too_low learning_rate_zero",
        "lr is nothing within the second epoch",
        P(main, bug="scheduler per batch", schedule="step"),
        config=CFG,
        seed=41,
    ),
    broken(
        "shapes-sum",
        "reduction='sum', lr unchanged",
        "wrong_scale learning_rate_too_high exploding_gradient diverging",
        "loss starts at 90",
        P(main, bug="sum"),
        config=CFG,
        seed=42,
    ),
    broken(
        "shapes-last-relu",
        "ReLU after the output layer",
        "not_learning vanishing_gradient collapsed_representation",
        "stuck at a third, as a hard task would be",
        P(main, bug="last relu"),
        visible=False,
        seed=43,
    ),
    broken(
        "shapes-clip",
        "gradient clipped at 1e-6",
        "learning_rate_too_low not_learning weights_never_move vanishing_gradient",
        "nothing moves though the gradient is large",
        P(main, bug="clip"),
        config=CFG,
        seed=44,
    ),
    broken(
        "shapes-same-batch",
        "the same batch in each step",
        "overfitting data_order validation_differs",
        "training loss 0, validation poor",
        P(main, bug="same batch"),
        config=CFG,
        seed=45,
    ),
    broken(
        "shapes-metric-constant",
        "top1 is computed from constant predictions",
        "metric_constant",
        "eval loss falls, top1 is one number",
        P(main, bug="metric constant", train_acc=False),
        seed=46,
    ),
    broken(
        "shapes-decay",
        "weight decay 3",
        "not_learning collapsed_representation",
        "loss returns to ln 6",
        P(main, bug="decay"),
        config={**CFG, "weight_decay": 3.0},
        seed=48,
    ),
    broken(
        "shapes-ctrl-c",
        "stopped by hand half-way",
        "interrupted",
        "",
        P(main, bug="ctrl-c", crash=131, log_norm=False),
        config=CFG,
        seed=50,
    ),
    broken(
        "shapes-nan", "NaN after 130 steps", "numeric_range diverging", "", P(main, bug="nan", log_norm=False), seed=51
    ),
    broken(
        "shapes-val-inverted",
        "validation images are inverted",
        "validation_differs overfitting label_mismatch",
        "eval loss high and growing while training is perfect",
        P(main, bug="val inverted"),
        config=CFG,
        seed=52,
    ),
    healthy("shapes-plain", "cosine to zero", P(main), config=CFG, seed=61),
    healthy(
        "shapes-onecycle-clipped",
        "one-cycle, gradient clipped at 1, norm logged",
        P(main, schedule="onecycle", clip=1.0, lr=0.1),
        config={"lr": 0.1, "epochs": 12, "batch_size": 50, "max_norm": 1.0},
        seed=62,
    ),
    healthy(
        "shapes-restarts",
        "warm restarts: lr and loss jump up",
        P(main, schedule="restarts", epochs=12),
        config=CFG,
        seed=63,
    ),
    healthy(
        "shapes-augmented",
        "augmentation: train much worse than validation",
        P(main, aug=True, epochs=14, log_norm=False),
        seed=64,
    ),
    healthy(
        "shapes-small-val",
        "30 validation images",
        P(main, nv=30, schedule="none", lr=0.02, train_acc=False, log_lr=False),
        seed=65,
    ),
]
