"""Series forecast some steps ahead by a recurrent network; errors against those of naive forecasts."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def series(n: int, noise: float) -> torch.Tensor:
    g = torch.Generator().manual_seed(6)
    t = torch.arange(n, dtype=torch.float)
    ar = torch.zeros(n)
    e = noise * torch.randn(n, generator=g)
    for k in range(1, n):
        ar[k] = 0.7 * ar[k - 1] + e[k]
    return torch.sin(2 * math.pi * t / 24) + 0.5 * torch.sin(2 * math.pi * t / 7) + ar


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(1, 16, batch_first=True), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x[..., None])[0][:, -1])


def train(
    rec: Recorder,
    *,
    epochs: int = 12,
    lr: float = 1e-2,
    noise: float = 0.2,
    style: str = "mase",
    kind: str = "mae",
    drift: float = 0.0,
    sched: str = "",
    bug: str = "",
) -> None:
    s = series(900, noise)
    if drift:
        s = s * (1 + drift * torch.arange(900) / 900)
    w = s.unfold(0, 28, 1)
    x, y = w[:, :24], w[:, 24:]
    if bug == "window":
        x, y = w[:, 4:], w[:, 24:]
    xt, yt, xv, yv = x[:640], y[:640], x[670:], y[670:]
    if bug == "val_standardised":
        xv = (xv - xv.mean()) / (3 * xv.std()) + 1
    if bug == "slice":
        xt, yt = x[:24], y[:24]
    if bug == "shifted":
        yt = yt.roll(37, 0)
    net = Net()
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    sch = torch.optim.lr_scheduler.MultiStepLR(
        opt, [1, 2] if bug == "milestones" else [8, 10], 0.01 if bug == "milestones" else 0.2
    )
    naive = (xv[:, -1:] - yv).abs().mean().item()

    def objective(out: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if kind == "pinball":
            d = t - out
            return torch.maximum(0.9 * d, -0.1 * d).mean()
        return F.mse_loss(out, t) if kind == "mse" else (out - t).abs().mean()

    for epoch in range(1, epochs + 1):
        total = 0.0
        parts = torch.randperm(len(xt)).split(32)
        for k in parts:
            out = net(xt[k])
            loss = objective(out, yt[k])
            opt.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            total += loss.item() / len(parts)
            if style == "steps":
                rec.step(loss=loss, grad_norm=norm, lr=opt.param_groups[0]["lr"])
        if sched:
            sch.step()
        with torch.no_grad():
            out = net(xv)
            mae, val = (out - yv).abs().mean().item(), objective(out, yv).item()
        if style == "mase":
            rec.epoch(epoch, train_loss=total, val_loss=val, mase=mae / naive)
        elif style == "naive":
            rec.epoch(
                epoch,
                train_mae=total,
                val_mae=mae,
                naive_mae=naive,
                seasonal_naive_mae=(xv[:, :4] - yv).abs().mean().item(),
            )
        elif style == "steps":
            rec.epoch(epoch, val_smape=(200 * (out - yv).abs() / (out.abs() + yv.abs())).mean().item())
        elif style == "lr":
            rec.epoch(epoch, loss=total, val_loss=val, lr=opt.param_groups[0]["lr"])


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "forecast_window",
        "the window holds what is to be forecast",
        "target_leak",
        "the error falls to a tenth of the naive forecast's",
        p(bug="window", epochs=20),
        visible=False,
        seed=1,
    ),
    broken(
        "forecast_shifted",
        "training targets are 37 rows off",
        "label_mismatch validation_differs overfitting",
        "training falls, validation is above the naive forecast from the start",
        p(bug="shifted", style="naive"),
        seed=2,
    ),
    broken(
        "forecast_val_standardised",
        "validation is standardised otherwise",
        "validation_differs wrong_scale overfitting label_mismatch",
        "validation is several times training from the first epoch",
        p(bug="val_standardised"),
        seed=3,
    ),
    broken(
        "forecast_slice",
        "24 windows by a slice of the wrong axis",
        "overfitting validation_differs",
        "training falls far below validation",
        p(bug="slice", epochs=100, kind="mse"),
        seed=4,
    ),
    broken(
        "forecast_milestones",
        "milestones of 1 and 2 and a factor of 0.01",
        "schedule_ended_early schedule_wrong learning_rate_too_low learning_rate_zero",
        "frozen from the third epoch on",
        p(bug="milestones", style="lr", sched="multi", lr=3e-3),
        seed=5,
    ),
    healthy("forecast_plain", "a scaled error below 1", p(), seed=20),
    healthy("forecast_naive", "naive forecasts as lines", p(style="naive"), seed=21),
    healthy("forecast_pinball", "an asymmetric loss: its value is not that of the error", p(kind="pinball"), seed=22),
    healthy(
        "forecast_drift",
        "later data are larger: validation above training throughout",
        p(drift=1.0, kind="mse", style="mase"),
        seed=23,
    ),
    healthy("forecast_milestones_right", "the rate falls late", p(style="lr", sched="multi"), seed=24),
    healthy("forecast_steps", "percent of error; every gradient is clipped", p(style="steps"), seed=25),
]
