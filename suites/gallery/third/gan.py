"""Two networks against each other on points in the plane; losses that do not fall."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def ring(n: int) -> torch.Tensor:
    angle = torch.randint(0, 8, (n,)) * math.pi / 4
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.08 * torch.randn(n, 2)


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Energy distance of two samples."""
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


def train(
    rec: Recorder,
    *,
    steps: int = 500,
    lr_g: float = 1e-3,
    lr_d: float = 1e-3,
    style: str = "log",
    real_label: float = 1.0,
    bug: str = "",
) -> None:
    gen = nn.Sequential(nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 2))
    dis = nn.Sequential(nn.Linear(2, 48), nn.LeakyReLU(0.2), nn.Linear(48, 48), nn.LeakyReLU(0.2), nn.Linear(48, 1))
    og = torch.optim.Adam(gen.parameters(), lr=lr_g, betas=(0.5, 0.99))
    od = torch.optim.Adam((gen if bug == "od_of_gen" else dis).parameters(), lr=lr_d, betas=(0.5, 0.99))

    def bce(logit: torch.Tensor, label: float) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, label))

    held = ring(300)
    every = 20
    sums = {"d_loss": 0.0, "g_loss": 0.0, "d_real": 0.0, "d_fake": 0.0}
    for step in range(steps):
        real, fake = ring(64), gen(torch.randn(64, 4))
        dr, df = dis(real), dis(fake.detach())
        d_loss = (bce(dr, real_label) + bce(df, 1.0 if bug == "labels" else 0.0)) / 2
        od.zero_grad()
        d_loss.backward()
        od.step()
        if bug == "detached":
            fake = fake.detach()
        if bug == "z_zero":
            fake = gen(torch.zeros(64, 4))
        g_loss = bce(dis(fake), 0.0 if bug == "g_label" else 1.0)
        og.zero_grad()
        if bug == "detached":
            g_loss = g_loss + 0 * next(gen.parameters()).sum()
        g_loss.backward()
        og.step()
        now = {"d_loss": d_loss, "g_loss": g_loss, "d_real": dr.sigmoid().mean(), "d_fake": df.sigmoid().mean()}
        for k in sums:
            sums[k] += now[k].item() / every
        if (step + 1) % every == 0:
            with torch.no_grad():
                points = gen(torch.zeros(300, 4) if bug == "z_zero" else torch.randn(300, 4))
            far = distance(points, held)
            if style == "log":
                rec.log(sums, step=step + 1)
            elif style == "epochs":
                rec.epoch(
                    step // every,
                    d_loss=sums["d_loss"],
                    g_loss=sums["g_loss"],
                    energy_distance=far,
                    sample_std=points.std(0).mean().item(),
                )
            elif style == "accuracy":
                rec.epoch(
                    step // every,
                    loss_D=sums["d_loss"],
                    loss_G=sums["g_loss"],
                    D_acc=100 * ((dr > 0).float().mean() + (df < 0).float().mean()).item() / 2,
                )
            sums = dict.fromkeys(sums, 0.0)


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "gan_generator_detached",
        "samples are detached in the generator's step",
        "weights_never_move not_learning loss_not_computed vanishing_gradient diverging collapsed_representation",
        "the discriminator wins, the distance does not fall",
        p(bug="detached", style="epochs"),
        seed=1,
    ),
    broken(
        "gan_labels",
        "label 1 for samples, too",
        "label_mismatch target_leak loss_not_computed loss_constant metric_constant",
        "both losses go to 0, both scores to 1",
        p(bug="labels"),
        seed=2,
    ),
    broken(
        "gan_g_label",
        "the generator is trained to be found out",
        "loss_sign label_mismatch diverging not_learning",
        "both losses go to 0, the distance grows",
        p(bug="g_label", style="epochs"),
        seed=3,
    ),
    broken(
        "gan_lr_d",
        "rate of 0.5 for the discriminator",
        "learning_rate_too_high diverging exploding_gradient wrong_scale numeric_range",
        "losses ten to fifty times ln 2, without end",
        p(lr_d=0.5, style="log"),
        seed=4,
    ),
    broken(
        "gan_no_noise",
        "the generator's input is zeroed",
        "collapsed_representation not_learning",
        "the spread of samples is 0",
        p(bug="z_zero", style="epochs"),
        seed=5,
    ),
    broken(
        "gan_wrong_optimizer",
        "the discriminator's optimizer holds the generator",
        "weights_never_move not_learning label_mismatch diverging loss_sign",
        "the score of real points never moves, the discriminator's loss grows",
        p(bug="od_of_gen"),
        seed=6,
    ),
    healthy("gan_plain", "losses swing about an equilibrium", p(), seed=20),
    healthy("gan_distance", "losses stand, the distance falls", p(style="epochs"), seed=21),
    healthy("gan_accuracy", "the discriminator's accuracy goes down to chance", p(style="accuracy"), seed=22),
    healthy("gan_one_sided", "one-sided smoothing: another floor", p(real_label=0.9, style="epochs"), seed=23),
]
