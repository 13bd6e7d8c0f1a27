"""A network that solves an equation of motion: residual and boundary terms, no data."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import nn

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def train(
    rec: Recorder,
    *,
    steps: int = 400,
    lr: float = 8e-3,
    weight: float = 10.0,
    style: str = "terms",
    decay: float = 1.0,
    bug: str = "",
) -> None:
    """u'' + 4 u = 0, u(0) = 1, u'(0) = 0 on 0..2: cos 2 t."""
    net = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
    if bug == "relu":
        net = nn.Sequential(nn.Linear(1, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 1))
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    grid = torch.linspace(0, 2, 50)[:, None]
    truth = torch.cos(2 * grid)
    w = 1e-7 if bug == "weight" else 1e6 if bug == "weight_up" else weight
    for step in range(steps):
        if step % 150 == 149 and bug == "rebuilt":
            for layer in net:
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()
        t = (torch.rand(40, 1) * 2).requires_grad_()
        u = net(t)
        (du,) = torch.autograd.grad(u.sum(), t, create_graph=True)
        (ddu,) = torch.autograd.grad(du.sum(), t, create_graph=True) if bug != "relu" else (du * 0,)
        residual = (ddu + (-4 if bug == "sign" else 4) * u).square().mean()
        z = torch.zeros(1, 1, requires_grad=True)
        u0 = net(z)
        (du0,) = torch.autograd.grad(u0.sum(), z, create_graph=True)
        start = (u0 - 1).square().mean() + du0.square().mean()
        if bug == "start_forgotten":
            start = start.detach()
        loss = residual + w * start
        opt.zero_grad()
        loss.backward()
        opt.step()
        opt.param_groups[0]["lr"] *= decay
        with torch.no_grad():
            error = ((net(grid) - truth).square().mean() / truth.square().mean()).sqrt().item()
        if style == "terms":
            rec.step(
                loss=loss, terms={"residual": (1.0, residual), "initial": (w, start)}, lr=opt.param_groups[0]["lr"]
            )
            if step % 40 == 39:
                rec.log({"rel_l2": error})
        elif style == "log" and step % 20 == 0:
            rec.log(
                {"loss/pde": residual.item(), "loss/ic": start.item(), "log10_loss": math.log10(loss.item() + 1e-30)},
                step=step + 1,
            )
        elif style == "epochs" and step % 25 == 24:
            rec.epoch(step // 25, train_loss=loss.item(), rel_l2_error=error)


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "ode_weight_tiny",
        "weight of 1e-7 on the start",
        "dominant_term wrong_scale collapsed_representation",
        "the residual goes to 0, the start and the error stay",
        p(bug="weight"),
        seed=1,
    ),
    broken(
        "ode_weight_1e6",
        "weight of 1e6 on the start",
        "dominant_term wrong_scale",
        "the start is met, the residual is not",
        p(bug="weight_up"),
        seed=2,
    ),
    broken(
        "ode_sign",
        "a sign in the equation",
        "loss_sign label_mismatch not_learning learning_rate_too_low",
        "loss and error stay",
        p(bug="sign", style="epochs"),
        seed=3,
    ),
    broken(
        "ode_start_detached",
        "the start term is detached",
        "loss_not_computed dominant_term collapsed_representation not_learning",
        "the residual falls, the start stays at 1",
        p(bug="start_forgotten", style="log"),
        seed=4,
    ),
    broken(
        "ode_rebuilt",
        "weights are drawn anew every 150 steps",
        "weights_reset",
        "the loss jumps back to that of the start",
        p(bug="rebuilt", style="terms", weight=3.0, lr=1.5e-2),
        seed=5,
    ),
    broken(
        "ode_lr_2",
        "rate 2 for Adam",
        "learning_rate_too_high diverging exploding_gradient not_learning loss_constant vanishing_gradient",
        "the loss is stuck to four digits",
        p(lr=2.0, style="epochs"),
        seed=6,
    ),
    healthy("ode_plain", "two terms", p(), seed=20),
    healthy("ode_log", "a logarithm that gets negative", p(style="log"), seed=21),
    healthy("ode_error", "the error falls late", p(style="epochs", decay=0.995), seed=22),
]
