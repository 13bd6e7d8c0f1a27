"""A denoising autoencoder of sums of waves; rec.log at steps, PSNR."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn

from suites.gallery.program import CrashError, broken, healthy


def waves(n):
    t = torch.linspace(0, 6.28, 48)
    f = torch.randint(1, 4, (n, 2, 1)).float()
    return (torch.rand(n, 2, 1) * torch.sin(f * t + 6.28 * torch.rand(n, 2, 1))).sum(1)


def trainer(
    rec,
    bug="",
    lr=2e-3,
    steps=600,
    bs=64,
    sigma=0.5,
    eval_every=60,
    via="log",
    n=4000,
    psnr=True,
    warm=0,
    schedule=None,
    kl=0.0,
):
    clean, held = waves(n), waves(300)
    torch.manual_seed(torch.initial_seed() + 1)
    corrupted = held + sigma * torch.randn_like(held)
    if bug == "val not noised":
        corrupted = held
    if bug == "val scaled":
        corrupted, held = corrupted * 255, held * 255
    model = nn.Sequential(
        nn.Linear(48, 96),
        nn.GELU(),
        nn.Linear(96, 12 if bug != "bottleneck" else 1),
        nn.GELU(),
        nn.Linear(12 if bug != "bottleneck" else 1, 96),
        nn.GELU(),
        nn.Linear(96, 48),
    )
    if bug == "sigmoid":
        model.append(nn.Sigmoid())
    if bug == "zero last":
        for p in model.parameters():
            p.data.zero_()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def forward_back(x):
        noisy = x + sigma * torch.randn_like(x)
        target = noisy if bug == "target noisy" else x
        if bug == "target shuffled":
            target = x[torch.randperm(len(x))]
        out = model(noisy)
        if bug == "detach":
            out = out.detach().requires_grad_()
        loss = ((out - target) ** 2).mean()
        if bug == "sum":
            loss = ((out - target) ** 2).sum()
        if bug != "no zero_grad":
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(warm):
        forward_back(clean[torch.randint(0, n, (bs,))])
    for g in optimizer.param_groups if warm else ():
        g["lr"] = 2e-4
    sch = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, steps // 3) if schedule else None
    if bug == "multiplied":
        sch = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda _: 1.02)
    mean = 0.0
    for step in range(1, steps + 1):
        loss = forward_back(clean[torch.randint(0, n, (bs,))])
        if sch:
            sch.step()
        mean += loss.item()
        if bug == "crash" and step == 330:
            raise CrashError("DataLoader worker exited unexpectedly")
        if via == "step":
            rec.step(loss=loss.item(), lr=optimizer.param_groups[0]["lr"])
        elif step % 20 == 0:
            rec.log({"loss": mean / 20}, step=step)
        if step % 20 == 0:
            mean = 0.0
        if step % eval_every == 0:
            with torch.no_grad():
                out = model(corrupted)
                mse = ((out - held) ** 2).mean().item()
            if bug == "val constant":
                mse = ((corrupted - held) ** 2).mean().item()
            line = {"val_mse": mse}
            if psnr:
                line["val_psnr"] = 10 * math.log10(4 / mse) if mse > 0 and math.isfinite(mse) else float("nan")
            if via == "epoch" or via == "step":
                rec.epoch(step // eval_every, **line)
            else:
                rec.log(line, step=step)


P = partial
PROGRAMS = [
    broken(
        "denoise-detach",
        "the output is detached",
        "weights_never_move not_learning learning_rate_zero learning_rate_too_low",
        "validation is one number",
        P(trainer, bug="detach"),
        seed=191,
    ),
    broken(
        "denoise-target-shuffled",
        "targets belong to other rows",
        "label_mismatch label_noise not_learning collapsed_representation learning_rate_too_low",
        "mse stays at the variance",
        P(trainer, bug="target shuffled"),
        seed=192,
    ),
    broken(
        "denoise-val-scaled",
        "validation is scaled by 255",
        "validation_differs wrong_scale",
        "",
        P(trainer, bug="val scaled"),
        seed=193,
    ),
    broken(
        "denoise-sigmoid",
        "sigmoid after the output layer",
        "not_learning numeric_range wrong_scale",
        "",
        P(trainer, bug="sigmoid"),
        visible=False,
        seed=194,
    ),
    broken(
        "denoise-no-zero-grad",
        "zero_grad is missing",
        "gradients_not_cleared learning_rate_too_high diverging exploding_gradient",
        "",
        P(trainer, bug="no zero_grad", lr=1e-2, via="step"),
        config={"lr": 1e-2},
        seed=195,
    ),
    broken(
        "denoise-val-constant",
        "validation scores the input",
        "metric_constant",
        "training loss falls, val_mse is one number",
        P(trainer, bug="val constant"),
        seed=196,
    ),
    broken(
        "denoise-lr-grows",
        "the lr grows by 2 % a step",
        "schedule_wrong learning_rate_too_high diverging",
        "",
        P(trainer, bug="multiplied", via="step"),
        config={"lr": 2e-3},
        seed=197,
    ),
    broken(
        "denoise-lr-low",
        "lr 2e-6",
        "learning_rate_too_low not_learning",
        "",
        P(trainer, lr=2e-6, via="step"),
        config={"lr": 2e-6, "steps": 600},
        seed=200,
    ),
    broken(
        "denoise-crash",
        "crashed at step 330",
        "interrupted",
        "",
        P(trainer, bug="crash"),
        config={"lr": 2e-3, "steps": 600},
        seed=201,
    ),
    broken(
        "denoise-target-noisy",
        "the noisy input is the target",
        "target_leak label_mismatch validation_differs label_noise overfitting",
        "validation rises for long while the training loss falls",
        P(trainer, bug="target noisy", psnr=False),
        seed=202,
    ),
    healthy("denoise-plain", "validation loss is irregular", P(trainer), seed=211),
    healthy(
        "denoise-restarts",
        "warm restarts, steps recorded",
        P(trainer, schedule=True, via="step", steps=900),
        config={"lr": 2e-3, "steps": 900},
        seed=212,
    ),
    healthy(
        "denoise-finetune",
        "goes on from trained weights: hardly improves",
        P(trainer, warm=600, steps=240, eval_every=40, psnr=False),
        config={"lr": 2e-4, "init_from": "denoise.pt"},
        seed=213,
    ),
]
