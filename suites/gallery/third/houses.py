"""Prices of houses: a regressor with AdamW; errors in thousands, the loss in standardised units."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def houses(n: int, seed: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 8, generator=g)
    price = 300 + 60 * x[:, 0] + 40 * x[:, 1] * x[:, 2] + 30 * (x[:, 3] > 0.5) + 25 * x[:, 4].sin() * x[:, 5]
    return x, price + noise * torch.randn(n, generator=g)


def train(
    rec: Recorder,
    *,
    epochs: int = 15,
    lr: float = 5e-3,
    noise: float = 20.0,
    n: int = 1000,
    width: int = 48,
    loss_name: str = "mse",
    style: str = "mae",
    decay: float = 1e-2,
    sched: str = "",
    batch: int = 50,
    bug: str = "",
) -> None:
    x, t = houses(n, 1, noise)
    xv, tv = houses(300, 2, noise)
    mean, std = t.mean(), t.std()
    if bug == "leak":
        x = torch.cat([x, ((t - mean) / std)[:, None]], 1)
        xv = torch.cat([xv, torch.zeros(300, 1)], 1)
    if bug == "leak_both":
        x = torch.cat([x, ((t - mean) / std)[:, None]], 1)
        xv = torch.cat([xv, ((tv - mean) / std)[:, None]], 1)
    if bug == "raw_target":
        mean, std = torch.tensor(0.0), torch.tensor(1.0)
    y = (t - mean) / std
    if bug == "nan_row":
        x[777, 3] = float("nan")
    net = nn.Sequential(
        nn.Linear(x.shape[1], width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2)
    )
    if bug == "relu_out":
        net = nn.Sequential(*net, nn.Hardtanh(0.0, 0.05))
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=decay)
    sch = torch.optim.lr_scheduler.ExponentialLR(opt, 0.6) if sched == "exp" else None
    if sched == "up":
        sch = torch.optim.lr_scheduler.ExponentialLR(opt, 1.6)

    def objective(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mu = out[:, 0]
        if bug == "broadcast":
            return ((mu[:, None] - target[None, :]) ** 2).mean()
        if loss_name == "nll":
            return (out[:, 1] + (mu - target) ** 2 * (-2 * out[:, 1]).exp() / 2).mean()
        if loss_name == "huber":
            return F.smooth_l1_loss(mu, target)
        if loss_name == "log":
            return F.mse_loss(mu, target).log()
        return F.mse_loss(mu, target)

    for epoch in range(1, epochs + 1):
        losses = []
        for i in torch.randperm(n).split(batch):
            loss = objective(net(x[i]), y[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
            if style == "steps":
                rec.step(loss=loss, samples=len(i))
        if sch:
            sch.step()
        with torch.no_grad():
            out = net(xv)
            if bug == "train_eval":
                out, target = net(x[:300]), y[:300]
            else:
                target = (tv - mean) / std
            val = objective(out, target).item()
            guess = out[:, 0] * std + mean
            if bug == "not_scaled_back":
                guess = out[:, 0]
            truth = target * std + mean
            mae, rmse = (guess - truth).abs().mean().item(), (guess - truth).square().mean().sqrt().item()
            r2 = 1 - (guess - truth).square().mean().item() / truth.var().item()
            if bug == "r2_swapped":
                r2 = 1 - (guess - truth).square().mean().item() / guess.var().item()
        tl = sum(losses) / len(losses)
        if style == "mae":
            rec.epoch(epoch, train_loss=tl, val_loss=val, val_mae=mae)
        elif style == "r2":
            rec.epoch(epoch, train_loss=tl, val_rmse=rmse, val_r2=r2)
        elif style == "losses":
            rec.epoch(epoch, train_loss=tl, val_loss=val)
        elif style == "steps":
            rec.epoch(epoch, val_mae_k=mae)
        elif style == "baseline":
            rec.epoch(
                epoch,
                train_mse=tl,
                val_mse=val,
                mae=mae,
                baseline_mae=(tv - t.mean()).abs().mean().item(),
                noise_floor=noise * 0.7979,
            )
        elif style == "lr":
            rec.epoch(epoch, train_loss=tl, val_loss=val, lr=opt.param_groups[0]["lr"])


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "houses_broadcast",
        "prediction and target broadcast against each other",
        "label_mismatch not_learning loss_not_computed",
        "the loss stays at 1, the error at that of the mean",
        p(bug="broadcast"),
        seed=1,
    ),
    broken(
        "houses_raw_target",
        "prices not standardised",
        "wrong_scale dominant_term learning_rate_too_low",
        "losses of 90,000 at first, as in any run without standardised targets",
        p(bug="raw_target", style="losses"),
        visible=False,
        seed=2,
    ),
    broken(
        "houses_leak",
        "the price is among the features, in validation it is not known",
        "target_leak validation_differs overfitting label_mismatch",
        "training error falls below the noise, validation never follows",
        p(bug="leak"),
        seed=3,
    ),
    broken(
        "houses_leak_both",
        "the price is among the features",
        "target_leak",
        "r2 reaches 1.000 with noise in the prices",
        p(bug="leak_both", style="r2", noise=40.0),
        visible=False,
        seed=4,
    ),
    broken(
        "houses_nan_row",
        "a missing value",
        "numeric_range",
        "nan within the first epoch",
        p(bug="nan_row", style="steps"),
        seed=6,
    ),
    broken(
        "houses_clamped",
        "the output is clamped to 0..0.05",
        "not_learning vanishing_gradient weights_never_move loss_constant learning_rate_too_low",
        "the loss stays where it began",
        p(bug="relu_out", style="r2"),
        seed=7,
    ),
    broken(
        "houses_units",
        "the error compares standardised guesses with prices",
        "wrong_scale validation_differs metric_constant",
        "the loss falls, the error stays at 300",
        p(bug="not_scaled_back"),
        seed=8,
    ),
    broken(
        "houses_rate_grows",
        "decay factor 1.6 for 0.6",
        "schedule_wrong learning_rate_too_high diverging exploding_gradient",
        "the rate grows a thousandfold and the loss with it",
        p(sched="up", style="lr", epochs=16),
        seed=10,
    ),
    broken(
        "houses_evaluates_training",
        "the validation step runs on training rows",
        "validation_is_training",
        "no gap",
        p(bug="train_eval", style="baseline", n=400, epochs=25),
        visible=False,
        seed=11,
    ),
    healthy("houses_plain", "plateau at the noise", p(decay=5e-2), seed=20),
    healthy(
        "houses_nll",
        "negative log likelihood below zero",
        p(loss_name="nll", noise=6.0, style="losses", lr=3e-3, n=2000),
        seed=21,
    ),
    healthy(
        "houses_baselines",
        "the mean's error and the noise floor as constant lines",
        p(style="baseline", n=2000, epochs=10),
        seed=22,
    ),
    healthy(
        "houses_noise_mostly",
        "most of the price is noise: the loss falls by a little",
        p(noise=110.0, style="losses", epochs=8, lr=1e-3, n=3000),
        seed=23,
    ),
    healthy("houses_exp_decay", "frozen at the end", p(sched="exp", style="lr", epochs=20, lr=1e-2), seed=24),
    healthy("houses_huber", "Huber loss, r2", p(loss_name="huber", style="r2", noise=12.0), seed=25),
    healthy(
        "houses_log_squared",
        "the log of the mean squared error as the loss, negative",
        p(loss_name="log", style="mae", lr=2e-3, n=2000),
        seed=26,
    ),
    healthy("houses_steps", "loss by steps, the error in thousands by epochs", p(style="steps"), seed=27),
]
