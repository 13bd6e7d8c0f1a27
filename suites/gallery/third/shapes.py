"""Small pictures of six shapes: a convolutional network with Adam, recorded step by step and by epoch."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import Interrupted, broken, healthy


def pictures(n: int, noise: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    proto = torch.randn(6, 1, 6, 6, generator=torch.Generator().manual_seed(77))
    y = torch.randint(0, 6, (n,), generator=g)
    x = torch.zeros(n, 1, 12, 12)
    dx, dy = torch.randint(0, 7, (2, n), generator=g).tolist()
    for k in range(n):
        x[k, :, dy[k] : dy[k] + 6, dx[k] : dx[k] + 6] = proto[y[k]]
    return x + noise * torch.randn(n, 1, 12, 12, generator=g), y


def train(
    rec: Recorder,
    *,
    epochs: int = 8,
    lr: float = 4e-3,
    noise: float = 0.8,
    n: int = 1200,
    batch: int = 50,
    clip: float = 0.0,
    augment: float = 0.0,
    warmup: int = 0,
    cosine: bool = False,
    style: str = "all",
    start: int = 0,
    bug: str = "",
) -> None:
    x, y = pictures(n, noise, 1)
    xv, yv = pictures(400, noise, 2)
    if bug == "blank":
        x = x * 0.0
    if bug == "labels_const":
        y = torch.zeros_like(y)
    if bug == "duplicates":
        x, y = x[:60].repeat(20, 1, 1, 1), y[:60].repeat(20)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 6),
    )  # fmt: skip
    if bug == "sigmoids":
        layers = [nn.Flatten(), nn.Linear(144, 40), nn.Sigmoid()]
        for _ in range(6):
            layers += [nn.Linear(40, 40), nn.Sigmoid()]
        net = nn.Sequential(*layers, nn.Linear(40, 6))
    if bug == "frozen":
        net.requires_grad_(False)
        net[-1].bias.requires_grad_(True)
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    per = n // batch
    steps = epochs * per

    def factor(s: int) -> float:
        if bug == "warmup_never":
            return min(1.0, s / 1e6)
        f = min(1.0, (s + 1) / warmup) if warmup else 1.0
        if cosine:
            f *= 0.5 * (1 + torch.cos(torch.tensor(min(1.0, s / steps) * torch.pi)).item())
        return f

    sched = torch.optim.lr_scheduler.LambdaLR(opt, factor)
    mean = 0.0
    if start:  # the weights that the earlier part left
        for _ in range(start):
            for i in torch.randperm(n).split(batch):
                opt.zero_grad()
                F.cross_entropy(net(x[i]), y[i]).backward()
                opt.step()
    for epoch in range(start, epochs):
        net.train()
        total = 0.0
        for k, i in enumerate(torch.randperm(n).split(batch)):
            xb = x[i]
            if augment:
                xb = xb * (torch.rand_like(xb) > augment) + 0.3 * torch.randn_like(xb)
            loss = F.cross_entropy(net(xb), y[i])
            opt.zero_grad()
            loss.backward()
            if bug == "clip_tiny":
                nn.utils.clip_grad_norm_(net.parameters(), 1e-9)
            norm = nn.utils.clip_grad_norm_(net.parameters(), clip or 1e9)
            used = opt.param_groups[0]["lr"]
            if bug != "no_step":
                opt.step()
            sched.step()
            mean = loss.item()
            total += mean
            if style in ("all", "steps_only"):
                rec.step(loss=loss, lr=used, grad_norm=norm)
            elif style == "steps":
                rec.step(loss=loss)
            if bug == "stopped" and epoch == 3 and k == 10:
                raise Interrupted
        net.eval()
        with torch.no_grad():
            out = net(xv)
            val, acc = F.cross_entropy(out, yv).item(), (out.argmax(1) == yv).float().mean().item()
        if style == "steps_only":
            continue
        if style in ("all", "steps"):
            rec.epoch(epoch, val_loss=val, val_acc=acc)
        elif style == "acc":
            rec.epoch(epoch, train_loss=total / per, accuracy=acc)
        elif style == "test":
            rec.epoch(epoch, **{"loss/train": total / per, "loss/test": val, "acc/test": 100 * acc})


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "shapes_no_step",
        "optimizer.step() lost",
        "weights_never_move not_learning learning_rate_zero",
        "the gradient is there, the loss stays at ln 6",
        p(bug="no_step"),
        seed=1,
    ),
    broken(
        "shapes_sigmoid_stack",
        "sigmoids between eight layers",
        "vanishing_gradient not_learning learning_rate_too_low",
        "the loss stays at ln 6",
        p(bug="sigmoids", lr=1e-3),
        seed=2,
    ),
    broken(
        "shapes_blank",
        "pictures multiplied by 0 in the loading",
        "not_learning loss_constant label_mismatch validation_differs vanishing_gradient"
        " weights_never_move diverging wrong_scale",
        "the training loss stays at ln 6, validation explodes",
        p(bug="blank"),
        seed=3,
    ),
    broken(
        "shapes_one_label",
        "every training label is 0",
        "label_mismatch validation_differs target_leak metric_constant class_imbalance overfitting",
        "training loss 0 within steps, validation far above chance",
        p(bug="labels_const", style="test"),
        seed=4,
    ),
    broken(
        "shapes_clip_1e9",
        "clipped to 1e-9 for 1e9, Adam hides it",
        "vanishing_gradient learning_rate_too_low not_learning weights_never_move",
        "gradient norms of 1e-9",
        p(bug="clip_tiny"),
        seed=6,
    ),
    broken(
        "shapes_duplicates",
        "the list of files is of 60 files, 20 times",
        "overfitting validation_differs",
        "training loss near 0 in two epochs, validation rises",
        p(bug="duplicates", style="test", epochs=10, noise=1.2),
        seed=7,
    ),
    broken(
        "shapes_warmup_1e6",
        "warm-up of 1e6 steps",
        "schedule_wrong learning_rate_too_low not_learning",
        "the rate is still 0.02% of what it should be at the end",
        p(bug="warmup_never"),
        config={"lr": 4e-3, "epochs": 8},
        seed=8,
    ),
    broken(
        "shapes_only_bias",
        "everything but the last bias is frozen",
        "not_learning weights_never_move vanishing_gradient learning_rate_too_low",
        "the loss stays about ln 6",
        p(bug="frozen", style="steps"),
        seed=10,
    ),
    broken(
        "shapes_stopped",
        "the user stops it in the fourth epoch of 30",
        "interrupted",
        "it ends early",
        p(bug="stopped"),
        config={"epochs": 30},
        seed=11,
    ),
    healthy("shapes_plain", "nothing special", p(), config={"lr": 4e-3, "epochs": 8, "batch_size": 50}, seed=20),
    healthy("shapes_clipped", "every gradient is clipped to 0.5", p(clip=0.5), seed=21),
    healthy("shapes_augmented", "noise and erased pixels in training only", p(augment=0.4, epochs=10), seed=22),
    healthy("shapes_warmup_cosine", "warm-up and cosine to nothing", p(warmup=40, cosine=True), seed=23),
    healthy("shapes_steps_only", "no epochs at all, batches of 20", p(style="steps_only", batch=20, epochs=5), seed=24),
    healthy("shapes_easy", "accuracy 1.0 from the second epoch", p(noise=0.2, style="acc"), seed=25),
    healthy(
        "shapes_resumed",
        "resumed at epoch 4: the first loss is low already",
        p(start=4, epochs=10),
        config={"epochs": 10},
        seed=26,
    ),
    healthy("shapes_percent", "accuracy in percent", p(style="test", noise=1.0), seed=27),
]
