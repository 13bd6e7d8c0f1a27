"""Masks of blobs in small pictures: a convolutional network, dice and overlap."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def scenes(n: int, seed: int, size: float, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    c, r = torch.rand(n, 2, 1, 1, generator=g) * 10 + 3, torch.rand(n, 1, 1, generator=g) * size + 0.8
    yy, xx = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    mask = ((yy - c[:, 0]) ** 2 + (xx - c[:, 1]) ** 2 < r**2).float()
    shade = torch.rand(n, 1, 1, generator=g) - 0.5
    return (mask * 1.2 + shade + noise * torch.randn(n, 16, 16, generator=g))[:, None], mask[:, None]


def train(
    rec: Recorder,
    *,
    epochs: int = 8,
    lr: float = 5e-3,
    size: float = 4.0,
    noise: float = 0.6,
    n: int = 240,
    style: str = "iou",
    kind: str = "bce",
    bug: str = "",
) -> None:
    x, m = scenes(n, 1, size, noise)
    xv, mv = scenes(60, 2, size, noise)
    if bug == "flipped":
        x = x.flip(3)
    if bug == "mask_255":
        m = m * 255
        mv = mv * 255
    if bug == "val_mask_255":
        mv = (mv * 255).clamp(0, 1) * 255
    if bug == "empty":
        m = (m > 1).float()
    net = nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(8, 1, 3, padding=1),
    )
    opt = torch.optim.Adam(net.parameters(), lr=lr)

    def objective(out: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        bce = F.binary_cross_entropy_with_logits(out, t)
        if kind == "bce":
            return bce
        p = out.sigmoid()
        dice = 1 - (2 * (p * t).sum((1, 2, 3)) + 1) / ((p + t).sum((1, 2, 3)) + 1)
        if kind == "negative_dice":
            return -(1 - dice.mean())
        return bce + dice.mean()

    for epoch in range(1, epochs + 1):
        losses = []
        for k in torch.randperm(n).split(20):
            out = net(x[k])
            loss = objective(out, m[k])
            if bug == "mask_of_first":
                loss = objective(out, m[: len(k)])
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
            if style == "steps":
                rec.step(loss=loss, samples=len(k))
        with torch.no_grad():
            out = net(xv)
            pred = (out > (20.0 if bug == "threshold" else 0.0)).float()
            inter, union = (pred * mv).sum(), ((pred + mv) > 0).float().sum()
            val = objective(out, mv).item()
            iou = (inter / union.clamp(min=1)).item()
            dice = (2 * inter / (pred.sum() + mv.sum()).clamp(min=1)).item()
            acc = (pred == mv).float().mean().item()
        tl = sum(losses) / len(losses)
        if style == "iou":
            rec.epoch(epoch, train_loss=tl, val_loss=val, val_iou=iou, pixel_accuracy=acc)
        elif style == "dice":
            rec.epoch(epoch, loss=tl, val_dice=dice, best_possible_dice=1.0)
        elif style == "steps":
            rec.epoch(epoch, mIoU=100 * iou)


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "segment_flipped",
        "pictures are flipped, masks are not",
        "label_mismatch not_learning label_noise validation_differs",
        "a high plateau, overlap swings: as a hard task that is not through",
        p(bug="flipped", epochs=18),
        visible=False,
        seed=1,
    ),
    broken(
        "segment_mask_255",
        "masks of 0 and 255",
        "wrong_scale label_mismatch diverging loss_sign numeric_range",
        "a cross entropy far below 0",
        p(bug="mask_255"),
        seed=2,
    ),
    broken(
        "segment_mask_of_first",
        "masks of the first rows for every batch",
        "label_mismatch not_learning label_noise metric_constant class_imbalance",
        "the loss stops near the entropy of the share",
        p(bug="mask_of_first", style="dice", epochs=16),
        seed=3,
    ),
    broken(
        "segment_empty",
        "thresholding leaves masks empty",
        "label_mismatch class_imbalance validation_differs metric_constant loss_not_computed",
        "training loss 0, validation rises, overlap 0",
        p(bug="empty"),
        seed=4,
    ),
    broken(
        "segment_threshold",
        "logits are compared with 20",
        "metric_constant validation_differs",
        "validation loss falls, overlap is 0",
        p(bug="threshold"),
        seed=5,
    ),
    healthy("segment_plain", "overlap rises", p(), seed=20),
    healthy(
        "segment_tiny_blobs",
        "nearly all is background: accuracy 97% from the start, overlap 0 for a while",
        p(size=1.2, noise=0.4, lr=4e-3, epochs=14),
        seed=21,
    ),
    healthy("segment_negative_dice", "the loss is minus the dice", p(kind="negative_dice", style="dice"), seed=22),
    healthy("segment_steps", "percent by epoch, loss by step", p(style="steps", kind="sum"), seed=23),
]
