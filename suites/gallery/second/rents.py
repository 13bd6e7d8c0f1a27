"""Rents from a table, log-normal targets: losses per epoch only, numpy for the data."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from suites.gallery.program import broken, healthy


def table(n, noise=0.25, leak=False, skew_only=False):
    g = np.random
    area, rooms, age, dist = g.lognormal(4.2, 0.4, n), g.randint(1, 6, n), g.uniform(0, 80, n), g.exponential(6, n)
    other = g.randn(n, 6)
    z = (
        1.1 * np.log(area)
        + 0.12 * rooms
        - 0.06 * dist
        + 0.4 * np.sin(age / 12)
        + 0.3 * other[:, 0] * other[:, 1]
        + noise * g.randn(n)
    )
    x = np.column_stack([np.log(area), rooms, age / 20, np.log1p(dist), other])
    x = (x - x.mean(0)) / x.std(0)
    if leak:
        x = np.column_stack([x, (z - z.mean()) / z.std()])
    return x.astype(np.float32), np.exp(z).astype(np.float32)


def fit(
    rec,
    *,
    bug="",
    lr=3e-3,
    epochs=30,
    n=1500,
    n_val=400,
    noise=0.25,
    names=("train_loss", "val_loss"),
    r2=False,
    gauss=False,
    batch=64,
    stages=1,
    l2=0.0,
    cosine=False,
    per_step=False,
):
    x, raw = table(n + n_val, noise, leak=bug == "leak")
    y = np.log(raw)
    y = (y - y[:n].mean()) / y[:n].std()
    if bug == "raw targets":
        y = raw
    if bug == "val shuffled":
        y[n:] = np.random.permutation(y[n:])
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    if bug == "sorted":
        order = y[:n].argsort()
        x[:n], y[:n] = x[:n][order], y[:n][order]
    tx, ty, vx, vy = x[:n], y[:n], x[n:], y[n:]
    if bug == "few rows":
        tx, ty = tx[:40], ty[:40]
    outputs = 2 if gauss else 1
    model = nn.Sequential(nn.Linear(x.shape[1], 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))
    if bug == "relu out":
        model.append(nn.ReLU())

    def objective(out, target):
        if gauss:
            mean, log_var = out[:, 0], out[:, 1].clamp(-8, 8)
            return (0.5 * (log_var + (mean - target) ** 2 / log_var.exp())).mean()
        out = out if bug == "broadcast" else out.squeeze(1)
        return ((out - target) ** 2).mean()

    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=l2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs) if cosine else None
    if bug == "gamma":
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.2)
    for epoch in range(epochs):
        model.train()
        losses = []
        order = torch.arange(len(tx)) if bug == "sorted" else torch.randperm(len(tx))
        for i in range(0, len(tx), batch):
            rows = order[i : i + batch]
            loss = objective(model(tx[rows]), ty[rows])
            if bug == "sign":
                loss = -loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if per_step:
                rec.step(loss=loss)
        if bug == "constant":
            losses = losses[:0] or [0.0]
        if schedule:
            schedule.step()
        model.eval()
        with torch.no_grad():
            out = model(vx)
            val = objective(out, vy).item()
        line = dict(zip(names, (float(np.mean(losses)), val), strict=True))
        if r2:
            line["r2"] = 1 - (((out[:, 0] - vy) ** 2).mean() / vy.var()).item()
        rec.epoch(epoch + 1, **line)


def broken_(name, fault, causes, why, *, visible=True, config=None, seed=0, **kw):
    return broken(name, fault, causes, why, _Fit(kw), visible=visible, config=config, seed=seed)


def healthy_(name, why, *, config=None, seed=0, **kw):
    return healthy(name, why, _Fit(kw), config=config, seed=seed)


class _Fit:
    def __init__(self, kw):
        self.kw = kw

    def __call__(self, rec):
        fit(rec, **self.kw)


PROGRAMS = [
    broken_(
        "rents-broadcast",
        "[N, 1] minus [N] broadcasts",
        "wrong_scale not_learning label_mismatch label_noise learning_rate_too_low collapsed_representation",
        "mse stays at the variance of the target",
        bug="broadcast",
        seed=71,
    ),
    broken_(
        "rents-raw-targets",
        "targets are neither logged nor scaled",
        "wrong_scale learning_rate_too_low not_learning",
        "loss of a hundred thousand that falls slowly",
        bug="raw targets",
        r2=True,
        seed=73,
    ),
    broken_(
        "rents-relu-out",
        "ReLU after the output layer",
        "not_learning numeric_range collapsed_representation vanishing_gradient",
        "the loss alone does not tell what could be reached",
        bug="relu out",
        seed=74,
        visible=False,
    ),
    broken_("rents-sign", "loss is negated", "loss_sign diverging", "loss goes to minus infinity", bug="sign", seed=75),
    broken_(
        "rents-leak", "the target is a column", "target_leak", "loss is nearly 0", bug="leak", seed=76, visible=False
    ),
    broken_(
        "rents-lr-1000x-low",
        "lr 3e-6",
        "learning_rate_too_low not_learning",
        "loss creeps in a straight line",
        lr=3e-6,
        config={"lr": 3e-6, "epochs": 30, "batch_size": 64},
        seed=77,
    ),
    broken_(
        "rents-lr-1000x-high",
        "lr 3",
        "learning_rate_too_high diverging not_learning",
        "loss starts huge, never under the variance",
        lr=3.0,
        config={"lr": 3.0, "epochs": 30, "batch_size": 64},
        seed=78,
    ),
    broken_(
        "rents-gamma",
        "ExponentialLR with gamma 0.2",
        "schedule_ended_early schedule_wrong learning_rate_zero",
        "losses freeze after a few epochs",
        bug="gamma",
        lr=1e-3,
        seed=80,
    ),
    broken_(
        "rents-sorted",
        "sorted by target and never shuffled",
        "data_order",
        "the loss of the steps repeats with each epoch",
        bug="sorted",
        per_step=True,
        epochs=12,
        seed=81,
    ),
    broken_(
        "rents-val-shuffled",
        "validation targets are permuted",
        "validation_differs label_mismatch overfitting",
        "validation is over the variance and grows while training falls",
        bug="val shuffled",
        r2=True,
        seed=82,
    ),
    healthy_("rents-plain", "two losses and no more", seed=91),
    healthy_(
        "rents-noisy", "plateau at irreducible noise", noise=1.0, epochs=40, l2=1e-3, lr=5e-4, n=4000, r2=True, seed=92
    ),
    healthy_(
        "rents-gaussian-nll",
        "the loss becomes negative",
        gauss=True,
        noise=0.1,
        names=("train_nll", "val_nll"),
        epochs=40,
        cosine=True,
        n=3000,
        l2=1e-4,
        seed=93,
    ),
    healthy_(
        "rents-low-lr",
        "a small lr that is declared; the loss falls",
        lr=2e-4,
        epochs=60,
        config={"lr": 2e-4, "epochs": 60, "batch_size": 64},
        names=("mse", "val_mse"),
        seed=94,
    ),
]
