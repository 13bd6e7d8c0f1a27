"""Unusual kinds of pictures: keypoints, masks, distillation, self-supervision, a fine-tune with adapters."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


# -- a keypoint --------------------------------------------------------------------------------------------------------
def _spots(n: int, size: int, wide: float = 1.5) -> tuple[torch.Tensor, torch.Tensor]:
    at = torch.rand(n, 2) * (size - 4) + 2
    axis = torch.arange(size).float()
    gx = torch.exp(-((axis - at[:, :1]) ** 2) / (2 * wide**2))
    gy = torch.exp(-((axis - at[:, 1:]) ** 2) / (2 * wide**2))
    return gy[:, :, None] * gx[:, None, :], at


def keypoint(rec: Recorder, bug: str = "", epochs: int = 12) -> None:
    clean, at = _spots(1200, 16)
    x = clean + 0.3 * torch.randn_like(clean)
    y = at / 16
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 2))
    if bug == "pixels":
        y = at * 40
    if bug == "transposed_val":
        y[1000:] = y[1000:].flip(1)
    opt: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(epochs):
        for i in torch.randperm(1000).split(25):
            loss = F.mse_loss(model(x[i]), y[i])
            if bug != "accumulate":
                opt.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1e9)
            opt.step()
            rec.step(loss=loss, grad_norm=norm, lr=0.05)
        with torch.no_grad():
            error = (model(x[1000:]) - y[1000:]).norm(dim=1)
        rec.epoch(epoch, val_mse=(error**2).mean() / 2, val_pck=(error < 0.1).float().mean())


def heatmap(rec: Recorder, bug: str = "", epochs: int = 14) -> None:
    clean, at = _spots(500, 16)
    x = (clean + 0.4 * torch.randn_like(clean))[:, None]
    target = _spots(1, 16)[0].new_zeros(500, 1, 16, 16)
    axis = torch.arange(16).float()
    target[:, 0] = torch.exp(-((axis[None, :, None] - at[:, 1, None, None]) ** 2 + (axis - at[:, :1, None]) ** 2) / 2)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.Conv2d(12, 12, 5, padding=2), nn.ReLU(), nn.Conv2d(12, 1, 1)
    )
    opt = torch.optim.Adam(model.parameters(), lr=1e-5 if bug == "lr" else 1.5e-3)
    for epoch in range(epochs):
        total = 0.0
        for i in torch.randperm(400).split(20):
            out = model(x[i])
            loss = F.mse_loss(out, target[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 20
        with torch.no_grad():
            out = model(x[400:])
            peak = out.flatten(1).argmax(1)
            found = torch.stack([peak % 16, peak // 16], 1).float()
            pck = ((found - at[400:]).norm(dim=1) < 1.5).float().mean()
        rec.epoch(epoch + 1, heatmap_loss=total, val_heatmap_loss=F.mse_loss(out, target[400:]), PCK=pck)


# -- masks -------------------------------------------------------------------------------------------------------------
def segment(
    rec: Recorder,
    bug: str = "",
    kind: str = "dice",
    radius: float = 4.0,
    epochs: int = 12,
    lr: float = 3e-3,
    noise: float = 0.6,
) -> None:
    grid = torch.arange(20).float()
    c = torch.rand(360, 2) * 14 + 3
    inside = ((grid[None, :, None] - c[:, 1, None, None]) ** 2 + (grid - c[:, :1, None]) ** 2 < radius**2).float()
    x = (0.8 * inside + noise * torch.randn_like(inside))[:, None]
    y = inside[:, None]
    if bug == "val_shuffled":
        y[300:] = y[300:][torch.randperm(60)]
    model = nn.Sequential(
        nn.Conv2d(1, 10, 5, padding=2), nn.SiLU(), nn.Conv2d(10, 10, 5, padding=2), nn.SiLU(), nn.Conv2d(10, 1, 1)
    )
    if kind == "dice" and radius < 2:
        nn.init.constant_(model[-1].bias, -2.0)
    opt = torch.optim.Adam(model.parameters(), lr=lr)

    def dice(p: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        both = (p * t).sum((1, 2, 3))
        return ((2 * both + 1) / (p.sum((1, 2, 3)) + t.sum((1, 2, 3)) + 1)).mean()

    for epoch in range(epochs):
        total, parts = 0.0, [0.0, 0.0]
        for i in torch.randperm(300).split(20):
            out = model(x[i])
            d = dice(out.sigmoid(), y[i]) if bug == "score" else 1 - dice(out.sigmoid(), y[i])
            b = F.binary_cross_entropy_with_logits(out, y[i])
            loss = d if kind == "dice" else b if kind == "bce" else b + d
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 15
            parts = [parts[0] + d.item() / 15, parts[1] + b.item() / 15]
            if kind == "both":
                rec.step(loss=loss, terms={"bce": (1.0, b), "dice": (1.0, d)})
        with torch.no_grad():
            out = model(x[300:])
            hard = (out > 0).float()
            iou = ((hard * y[300:]).sum() + 1e-6) / (torch.maximum(hard, y[300:]).sum() + 1e-6)
            accuracy = (hard == y[300:]).float().mean()
        if kind == "dice":
            rec.epoch(epoch, train_loss=total, val_dice=dice(hard, y[300:]))
        elif kind == "bce":
            rec.epoch(epoch, train_loss=total, pixel_accuracy=accuracy, iou=iou)
        else:
            rec.epoch(epoch, val_iou=iou)


# -- pictures of classes --------------------------------------------------------------------------------------------
def _classes(n: int, k: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.randint(k, (n,))
    return torch.randn(k, 64)[y] + noise * torch.randn(n, 64), y


def distil(rec: Recorder, bug: str = "", epochs: int = 15, taught: int = 300) -> None:
    x, y = _classes(2600, 10, 2.2)
    teacher = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    opt = torch.optim.Adam(teacher.parameters(), lr=2e-3, weight_decay=1e-3)
    for _ in range(0 if bug == "untrained" else taught):
        i = torch.randint(2000, (64,))
        loss = F.cross_entropy(teacher(x[i]), y[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
    student = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    opt = torch.optim.Adam(student.parameters(), lr=2e-3)
    heat = 4.0
    for epoch in range(epochs):
        total = 0.0
        for i in torch.randperm(2000).split(50):
            with torch.no_grad():
                soft = (teacher(x[i]) / heat).softmax(1)
            out = student(x[i]) / heat
            out = out.softmax(1) if bug == "softmax" else out.log_softmax(1)
            loss = F.kl_div(out, soft, reduction="mean" if bug == "mean" else "batchmean") * (
                1 if bug == "mean" else heat**2
            )
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 40
        with torch.no_grad():
            hit = (student(x[2000:]).argmax(1) == y[2000:]).float().mean()
            same = (student(x[2000:]).argmax(1) == teacher(x[2000:]).argmax(1)).float().mean()
            top = (teacher(x[2000:]).argmax(1) == y[2000:]).float().mean()
        rec.epoch(epoch, kd_loss=total, student_acc=hit, teacher_acc=top, agreement=same)


def simclr(rec: Recorder, bug: str = "", epochs: int = 12, temperature: float = 0.5) -> None:
    x, y = _classes(1600, 10, 1.9)
    body = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32))
    head = nn.Sequential(nn.ReLU(), nn.Linear(32, 32))
    opt = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=1e-3)

    def view(v: torch.Tensor) -> torch.Tensor:
        return v * (torch.rand_like(v) > 0.4) + 0.5 * torch.randn_like(v)

    for epoch in range(epochs):
        total = 0.0
        for i in torch.randperm(1280).split(64):
            z = F.normalize(head(body(torch.cat([view(x[i]), view(x[i])]))), dim=1)
            sim = z @ z.T / temperature
            sim.fill_diagonal_(-1e9)
            target = torch.arange(128).roll(64)
            if bug == "positives":
                target = torch.arange(128).roll(1)
            loss = F.cross_entropy(sim, target)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 20
        with torch.no_grad():
            h = F.normalize(body(x), dim=1)
            near = (h[1280:] @ h[:1280].T).topk(5, 1).indices
            knn = (y[near].mode(1).values == y[1280:]).float().mean()
        rec.epoch(epoch, contrastive_loss=total, knn_top1=knn)


def byol(rec: Recorder, bug: str = "", epochs: int = 14) -> None:
    x, y = _classes(1600, 10, 1.9)
    online = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 32))
    if bug:
        online = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32))
    target = copy.deepcopy(online)
    predictor = nn.Sequential(nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))
    opt = torch.optim.Adam([*online.parameters(), *predictor.parameters()], lr=2e-3)

    def view(v: torch.Tensor) -> torch.Tensor:
        return v * (torch.rand_like(v) > 0.3) + 0.3 * torch.randn_like(v)

    for epoch in range(1, epochs + 1):
        total = spread = 0.0
        for i in torch.randperm(1280).split(64):
            a, b = view(x[i]), view(x[i])
            p = online(a) if bug == "no_stop" else predictor(online(a))
            t = online(b) if bug == "no_stop" else target(b).detach()
            loss = 2 - 2 * F.cosine_similarity(p, t, dim=1).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            with torch.no_grad():
                for s, o in zip(target.parameters(), online.parameters(), strict=True):
                    s.lerp_(o, 0.004)
                spread += F.normalize(t, dim=1).std(0).mean().item() / 20
            total += loss.item() / 20
        online.eval()
        with torch.no_grad():
            h = F.normalize(online(x), dim=1)
            near = (h[1280:] @ h[:1280].T).topk(5, 1).indices
            knn = (y[near].mode(1).values == y[1280:]).float().mean()
        online.train()
        rec.epoch(epoch, byol_loss=total, embedding_std=spread, knn_acc=knn)


# -- adapters ------------------------------------------------------------------------------------------------------------
class Adapted(nn.Module):
    def __init__(self, base: nn.Linear, rank: int, zeros: bool) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, base.in_features) * (0.0 if zeros else 0.1))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + x @ self.a.T @ self.b.T


def lora(
    rec: Recorder,
    bug: str = "",
    epochs: int = 10,
    shift: float = 0.5,
    lr: float = 3e-3,
    rows: int = 800,
    full: bool = False,
) -> None:
    old = 0.5 * torch.randn(10, 64)
    y = torch.randint(10, (4000,))
    x = old[y] + 1.3 * torch.randn(4000, 64)
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    for i in torch.randperm(4000).repeat(2).split(64):
        opt.zero_grad()
        F.cross_entropy(net(x[i]), y[i]).backward()
        opt.step()
    new = old + 0.5 * shift * torch.randn(10, 64)
    y = torch.randint(10, (rows + 500,))
    x = new[y] + (1.3 if not full else 2.0) * torch.randn(rows + 500, 64)
    if not full:
        net[0] = Adapted(net[0], 4, bug == "zeros")
        net[2] = Adapted(net[2], 4, bug == "zeros")
    opt = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=lr)
    batches = rows // 25
    plan = torch.optim.lr_scheduler.LambdaLR(
        opt, lambda s: max(0.0, 1 - s / (batches * epochs * (0.1 if bug == "total" else 1)))
    )
    for epoch in range(epochs):
        for i in torch.randperm(rows).split(25):
            loss = F.cross_entropy(net(x[i]), y[i])
            opt.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_([p for p in net.parameters() if p.requires_grad], 1e9)
            opt.step()
            rec.step(loss=loss, lr=plan.get_last_lr()[0], grad_norm=norm)
            plan.step()
        with torch.no_grad():
            out = net(x[rows:])
        rec.epoch(
            epoch, eval_loss=F.cross_entropy(out, y[rows:]), eval_accuracy=(out.argmax(1) == y[rows:]).float().mean()
        )


PROGRAMS = [
    broken(
        "keypoint_transposed_val",
        "x and y exchanged in the validation targets",
        "label_mismatch validation_differs overfitting",
        "training error goes to nearly nothing, validation error stands far above from the first epoch",
        partial(keypoint, bug="transposed_val"),
        seed=1,
    ),
    broken(
        "keypoint_pixels",
        "targets in pixels instead of the unit square",
        "wrong_scale learning_rate_too_high exploding_gradient diverging numeric_range",
        "the loss starts at 1e5 and bursts",
        partial(keypoint, bug="pixels"),
        seed=2,
    ),
    broken(
        "keypoint_accumulate",
        "zero_grad is missing",
        "gradients_not_cleared learning_rate_too_high exploding_gradient diverging numeric_range",
        "gradient norm grows, the loss swings and bursts",
        partial(keypoint, bug="accumulate"),
        seed=3,
    ),
    healthy("keypoint_plain", "validation error above training error, tiny losses", partial(keypoint), seed=4),
    broken(
        "heatmap_lr",
        "1e-5 for 1e-3",
        "learning_rate_too_low vanishing_gradient",
        "the loss creeps down in a straight line and is far from done",
        partial(heatmap, bug="lr"),
        seed=1,
    ),
    healthy("heatmap_empty_first", "the loss of an empty map is tiny already; PCK waits", partial(heatmap), seed=2),
    broken(
        "segment_score",
        "the score is minimised instead of one minus the score",
        "loss_sign",
        "loss and Dice both go to zero",
        partial(segment, bug="score"),
        seed=1,
    ),
    broken(
        "segment_rare",
        "no class weight: one pixel in a hundred is foreground",
        "class_imbalance metric_constant not_learning",
        "accuracy 0.99 and IoU 0 throughout",
        partial(segment, kind="bce", radius=1.2, noise=1.3),
        seed=2,
    ),
    broken(
        "segment_val_shuffled",
        "masks of the validation set in another order",
        "label_mismatch validation_differs overfitting",
        "training loss good, IoU near zero",
        partial(segment, bug="val_shuffled", kind="both"),
        seed=3,
    ),
    healthy(
        "segment_dice_late",
        "Dice loss starts near 1 and waits",
        partial(segment, lr=1e-3, radius=1.9, epochs=14),
        seed=4,
    ),
    healthy("segment_two_terms", "two terms of different size", partial(segment, kind="both"), seed=5),
    healthy(
        "segment_bce_accuracy",
        "pixel accuracy hardly moves, IoU does",
        partial(segment, kind="bce", radius=3.6),
        seed=6,
    ),
    broken(
        "distil_untrained",
        "the teacher's weights were not loaded",
        "label_mismatch label_noise not_learning metric_constant",
        "agreement rises, the accuracy of both stays at chance",
        partial(distil, bug="untrained"),
        seed=1,
    ),
    broken(
        "distil_softmax",
        "softmax instead of log_softmax into kl_div",
        "loss_sign numeric_range loss_not_computed",
        "a KL divergence below zero",
        partial(distil, bug="softmax"),
        seed=2,
    ),
    healthy("distil_mean", "divided by the classes too: tiny losses", partial(distil, bug="mean"), seed=3),
    healthy("distil_early_teacher", "the student ends above or beside its teacher", partial(distil, taught=80), seed=4),
    broken(
        "simclr_positives",
        "positive is the next row of the batch",
        "label_mismatch not_learning label_noise",
        "loss stays at log 127",
        partial(simclr, bug="positives"),
        seed=1,
    ),
    healthy("simclr_floor", "the loss stays near its floor while kNN rises", partial(simclr, temperature=1.0), seed=2),
    healthy(
        "simclr_half",
        "loss falls by a fifth only",
        partial(simclr),
        seed=3,
        config={"lr": 1e-3, "temperature": 0.5, "epochs": 12},
    ),
    broken(
        "byol_no_stop",
        "no predictor, no stop-gradient",
        "collapsed_representation",
        "loss goes to nothing with the spread, kNN falls",
        partial(byol, bug="no_stop"),
        seed=1,
    ),
    healthy("byol_plain", "the loss does not fall monotonically", partial(byol), seed=2),
    broken(
        "lora_zeros",
        "both factors start at zero",
        "weights_never_move vanishing_gradient not_learning learning_rate_zero metric_constant loss_constant",
        "validation is the same number in all epochs, gradient norm 0",
        partial(lora, bug="zeros", shift=0.8),
        seed=1,
    ),
    broken(
        "lora_lr",
        "learning rate 1.0",
        "learning_rate_too_high diverging exploding_gradient",
        "loss jumps up from the first steps",
        partial(lora, lr=1.0),
        seed=2,
    ),
    broken(
        "lora_total",
        "the schedule counts a tenth of the steps",
        "schedule_ended_early schedule_wrong learning_rate_zero",
        "lr is 0 after the first epoch",
        partial(lora, bug="total", shift=0.8),
        seed=3,
        config={"epochs": 10, "lr": 3e-3},
    ),
    broken(
        "finetune_small",
        "all weights, 100 rows, 25 epochs",
        "overfitting",
        "training loss 0, validation loss rises",
        partial(lora, rows=100, full=True, epochs=25, shift=0.8, lr=1e-2),
        seed=4,
    ),
    healthy(
        "lora_good_start",
        "starts at a good loss and gains little",
        partial(lora, shift=0.4, lr=1e-3),
        seed=5,
        config={"epochs": 10, "lr": 1e-3},
    ),
    healthy(
        "lora_shifted",
        "linear decay to zero",
        partial(lora, shift=0.8),
        seed=6,
        config={"epochs": 10, "lr": 3e-3, "rank": 4},
    ),
]
