"""A normalising flow of coupling layers; negative log likelihoods, also below 0."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import nn

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def moons(n: int, seed: int, scale: float) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    t = torch.rand(n, generator=g) * math.pi
    up = torch.rand(n, generator=g) < 0.5
    x = torch.where(up, t.cos(), 1 - t.cos())
    y = torch.where(up, t.sin(), 0.5 - t.sin())
    return scale * (torch.stack([x - 0.5, y - 0.25], 1) + 0.05 * torch.randn(n, 2, generator=g))


class Flow(nn.Module):
    def __init__(self, layers: int = 6, free: bool = False) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 2)) for _ in range(layers))
        self.free = free

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        a, b = x.split(1, 1)
        logdet = 0.0
        for net in self.nets:
            s, t = net(a).split(1, 1)
            s = s * 3 if self.free else torch.tanh(s)
            b = b * s.exp() + t
            logdet = logdet + s[:, 0]
            a, b = b, a
        return torch.cat([a, b], 1), logdet


def train(
    rec: Recorder,
    *,
    epochs: int = 20,
    lr: float = 5e-3,
    scale: float = 1.0,
    n: int = 1000,
    style: str = "nll",
    cosine: bool = False,
    bug: str = "",
) -> None:
    x, xv = moons(n, 1, scale), moons(400, 2, scale)
    if bug == "val_scale":
        xv = moons(400, 2, 6 * scale)
    flow = Flow(free=bug == "unbounded")
    opt = torch.optim.Adam(flow.parameters(), lr=lr)
    sch = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs) if cosine else None

    def nll(batch: torch.Tensor) -> torch.Tensor:
        z, logdet = flow(batch)
        if bug == "no_logdet":
            logdet = 0 * logdet
        if bug == "logdet_sign":
            logdet = -logdet
        return (z.square().sum(1) / 2 + math.log(2 * math.pi) - logdet).mean()

    for epoch in range(epochs):
        total = 0.0
        batches = torch.randperm(n).split(50)
        for k in batches:
            loss = nll(x[k])
            opt.zero_grad()
            loss.backward()
            if bug != "unbounded":
                nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
            opt.step()
            total += loss.item() / len(batches)
            if style == "steps":
                rec.step(loss=loss)
        if sch:
            sch.step()
        with torch.no_grad():
            val = nll(xv).item()
        if style == "nll":
            rec.epoch(epoch, train_nll=total, val_nll=val)
        elif style == "bpd":
            rec.epoch(epoch, train_loss=total, val_bpd=val / 2 / math.log(2))
        elif style == "ll":
            rec.epoch(
                epoch,
                log_likelihood=-total,
                val_log_likelihood=-val,
                gaussian_log_likelihood=-2.06 - 2 * math.log(scale),
            )
        elif style == "steps":
            rec.epoch(epoch, val_loss=val)


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "flow_no_logdet",
        "the determinant is left out",
        "loss_not_computed collapsed_representation loss_constant",
        "the loss stops at ln 2 pi: all points go to the origin",
        p(bug="no_logdet"),
        visible=False,
        seed=1,
    ),
    broken(
        "flow_logdet_sign",
        "the determinant's sign",
        "loss_sign diverging",
        "the loss falls to the bound of the scales",
        p(bug="logdet_sign"),
        visible=False,
        seed=2,
    ),
    broken(
        "flow_val_scale",
        "validation points are six times as large",
        "validation_differs wrong_scale overfitting",
        "validation loss is far above training's from the start and rises",
        p(bug="val_scale"),
        seed=4,
    ),
    broken(
        "flow_lr_06",
        "rate 0.6",
        "learning_rate_too_high diverging exploding_gradient not_learning",
        "the loss jumps up and swings",
        p(lr=0.6),
        seed=5,
    ),
    broken(
        "flow_unbounded",
        "scales without a bound at a high rate",
        "numeric_range exploding_gradient diverging learning_rate_too_high",
        "infinite losses",
        p(bug="unbounded", lr=0.3, style="steps"),
        seed=6,
    ),
    healthy("flow_plain", "losses", p(), seed=20),
    healthy("flow_negative", "small scale: losses from above 0 to below -1", p(scale=0.2, style="nll"), seed=21),
    healthy("flow_bits", "bits per dimension for validation, nats for training", p(style="bpd"), seed=22),
    healthy("flow_likelihood", "higher is better; a Gaussian's as a line", p(style="ll", cosine=True), seed=23),
]
