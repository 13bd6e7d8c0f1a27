"""A classifier and a regressor on one trunk: two losses, weighted."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def data(n: int, seed: int, scale: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(10, 8, generator=torch.Generator().manual_seed(2))
    x = torch.randn(n, 10, generator=g)
    h = torch.tanh(x @ a)
    age = scale * (h[:, 0] + h[:, 1] * h[:, 2] + 0.2 * torch.randn(n, generator=g))
    kind = (h[:, :5] + 0.3 * torch.randn(n, 5, generator=g)).argmax(1)
    return x, kind, age


def train(
    rec: Recorder,
    *,
    epochs: int = 15,
    lr: float = 5e-3,
    scale: float = 1.0,
    w: float = 1.0,
    learned: bool = False,
    ramp: bool = False,
    style: str = "epochs",
    bug: str = "",
) -> None:
    x, c, t = data(1000, 1, scale)
    xv, cv, tv = data(300, 2, scale)
    trunk = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
    heads = nn.ModuleList([nn.Linear(32, 5), nn.Linear(32, 1)])
    logvar = nn.Parameter(torch.zeros(2))
    opt = torch.optim.AdamW([*trunk.parameters(), *heads.parameters(), logvar], lr=lr, weight_decay=0.05)

    def terms(x: torch.Tensor, c: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h = trunk(x)
        out, age = heads[0](h), heads[1](h)[:, 0]
        if bug == "squeeze":
            age = heads[1](h)
        return F.cross_entropy(out, c), F.mse_loss(age, t), out

    for epoch in range(1, epochs + 1):
        sums = torch.zeros(3)
        parts = torch.randperm(len(x)).split(50)
        weight = w * min(1.0, epoch / 8) if ramp else w
        for k in parts:
            ck = c[k]
            if bug == "kinds":
                ck = c[k.flip(0)]
            ce, mse, _ = terms(x[k], ck, t[k])
            if learned:
                loss = (-logvar).exp()[0] * ce + (-logvar).exp()[1] * mse / 2 + logvar.sum() / 2
            elif bug == "forgot_second":
                loss = ce + 0.0 * mse
            elif bug == "twice_first":
                loss = ce + ce
            else:
                loss = ce + weight * mse
            opt.zero_grad()
            loss.backward()
            opt.step()
            sums += torch.stack([loss, ce, mse]).detach() / len(parts)
            if style == "steps":
                rec.step(loss=loss, terms={"ce": (1.0, ce), "mse": (0.0 if bug == "forgot_second" else weight, mse)})
        with torch.no_grad():
            ce, mse, out = terms(xv, cv, tv)
            acc = (out.argmax(1) == cv).float().mean().item()
        a, b, d = sums.tolist()
        if style == "epochs":
            rec.epoch(epoch, train_loss=a, train_ce=b, train_mse=d, val_ce=ce.item(), val_mse=mse.item(), val_acc=acc)
        elif style == "steps":
            rec.epoch(epoch, val_ce=ce.item(), val_mse=mse.item(), val_acc=acc)
        elif style == "learned":
            rec.epoch(
                epoch,
                loss=a,
                sigma_ce=logvar[0].item(),
                sigma_mse=logvar[1].item(),
                val_acc=acc,
                val_rmse=mse.sqrt().item(),
            )


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "twotasks_days",
        "ages in days beside a cross entropy",
        "dominant_term wrong_scale",
        "the total is the regression, classes hardly improve",
        p(scale=300.0),
        seed=1,
    ),
    broken(
        "twotasks_squeeze",
        "the regression broadcasts",
        "label_mismatch not_learning loss_not_computed",
        "one term does not fall, the other does",
        p(bug="squeeze"),
        seed=2,
    ),
    broken(
        "twotasks_second_lost",
        "the second term has weight 0",
        "dominant_term not_learning loss_not_computed wrong_scale",
        "its error does not fall",
        p(bug="forgot_second", style="steps"),
        seed=3,
    ),
    broken(
        "twotasks_first_twice",
        "the first term is added twice",
        "loss_not_computed dominant_term not_learning label_mismatch",
        "the total is twice one term, the other does not fall",
        p(bug="twice_first"),
        seed=4,
    ),
    broken(
        "twotasks_kinds",
        "classes of a batch are reversed",
        "label_mismatch label_noise not_learning overfitting",
        "classes stay at chance, ages are learnt",
        p(bug="kinds"),
        seed=5,
    ),
    healthy("twotasks_plain", "two terms of two sizes", p(), seed=20),
    healthy(
        "twotasks_learned",
        "learned weights: the loss gets negative",
        p(learned=True, style="learned", epochs=25),
        seed=21,
    ),
    healthy("twotasks_ramp", "the second weight grows: the loss need not fall", p(ramp=True, w=3.0), seed=22),
    healthy("twotasks_steps", "terms by step", p(style="steps", epochs=10), seed=23),
]
