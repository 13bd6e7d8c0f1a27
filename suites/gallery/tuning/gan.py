"""Points on a ring of eight spots, made from noise against a discriminator."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder
from suites.gallery.program import Program, broken, healthy

SPOTS = 8
NOISE = 4


def ring(count: int, draw: torch.Generator | None = None) -> Tensor:
    angle = torch.randint(SPOTS, (count,), generator=draw) * (2 * math.pi / SPOTS)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(count, 2, generator=draw)


def net(inputs: int, outputs: int, width: int = 64) -> nn.Sequential:
    slope = 0.2
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.LeakyReLU(slope),
        nn.Linear(width, width),
        nn.LeakyReLU(slope),
        nn.Linear(width, outputs),
    )


def sliced_distance(a: Tensor, b: Tensor) -> float:
    """Mean distance of sorted projections on 16 directions."""
    angle = torch.arange(16) * (math.pi / 16)
    directions = torch.stack([angle.cos(), angle.sin()])
    return ((a @ directions).sort(0).values - (b @ directions).sort(0).values).abs().mean().item()


def covered(points: Tensor) -> int:
    """Spots at which there is at least a fortieth of the points."""
    angle = torch.arange(SPOTS) * (2 * math.pi / SPOTS)
    near = torch.cdist(points, torch.stack([angle.cos(), angle.sin()], 1)) < 0.3
    return int((near.float().mean(0) > 1 / 40).sum())


def train(
    rec: Recorder,
    *,
    fault: str = "",
    form: str = "standard",
    epochs: int = 20,
    steps: int = 30,
    lr_g: float = 1e-3,
    lr_d: float = 1e-3,
    average: bool = False,
    log_steps: bool = True,
    betas: tuple[float, float] = (0.5, 0.99),
    radius: float = 1.0,
    critic_steps: int = 1,
    first: int = 1,
) -> None:
    generator, critic = net(NOISE, 2), net(2, 1)
    slow = copy.deepcopy(generator)
    held_noise, held = torch.randn(512, NOISE), radius * ring(512)
    owned = critic if fault == "optimizer of the generator made with the weights of the critic" else generator
    opt_g = torch.optim.Adam(owned.parameters(), lr=lr_g, betas=betas)
    opt_d = torch.optim.Adam(critic.parameters(), lr=lr_d, betas=betas)

    def judge(real: Tensor, fake: Tensor) -> Tensor:
        yes, no = critic(real), critic(fake)
        if form == "hinge":
            return F.relu(1 - yes).mean() + F.relu(1 + no).mean()
        if form == "wasserstein":
            share = torch.rand(len(real), 1)
            between = (share * real + (1 - share) * fake).requires_grad_()
            slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0].norm(dim=1)
            penalty = 0.0 if fault == "gradient penalty left out" else 2.0
            return no.mean() - yes.mean() + penalty * ((slope - 1) ** 2).mean()
        return F.softplus(-yes).mean() + F.softplus(no).mean()

    for epoch in range(first, first + epochs):
        sums = [0.0, 0.0]
        for _ in range(steps):
            for _ in range(critic_steps):
                noise = torch.randn(64, NOISE) * (0.0 if fault == "noise is zero" else 1.0)
                loss_d = judge(radius * ring(64), generator(noise).detach())
                opt_d.zero_grad()
                loss_d.backward()
                opt_d.step()
            fake = generator(noise)
            answer = critic(fake.detach() if fault == "detached in the step of the generator" else fake)
            if form != "standard":
                loss_g = -answer.mean()
            elif fault == "saturating loss against a critic that is too fast":
                loss_g = -F.softplus(answer).mean()  # log(1 - D), minimised
            else:
                loss_g = F.softplus(-answer).mean()
            if fault == "generator minimises the wrong sign":
                loss_g = F.softplus(answer).mean()
            opt_g.zero_grad()
            generator.zero_grad()
            loss_g.backward()
            norm = nn.utils.get_total_norm([p.grad for p in generator.parameters() if p.grad is not None])
            opt_g.step()
            for old, new in zip(slow.parameters(), generator.parameters(), strict=True):
                old.data.lerp_(new.data, 0.02)
            sums = [sums[0] + loss_d.item() / steps, sums[1] + loss_g.item() / steps]
            if log_steps:
                rec.step(loss=loss_g, grad_norm=norm, lr=lr_g, samples=64)
        metrics: dict[str, float] = {"d_loss": sums[0], "g_loss": sums[1]}
        with torch.no_grad():
            points = generator(held_noise * (0.0 if fault == "noise is zero" else 1.0))
            metrics |= {"swd": sliced_distance(points, held), "modes": covered(points / radius)}
            if average:
                metrics["swd_ema"] = sliced_distance(slow(held_noise), held)
        rec.epoch(epoch, **metrics)


PROGRAMS: Sequence[Program] = (
    healthy(
        "ring_standard",
        "both losses swing about and neither falls, while the distance does",
        train,
        config={"epochs": 20, "modes": SPOTS},
    ),
    healthy(
        "ring_hinge",
        "no steps, epochs from 0; the generator's loss is below and above 0 by turns",
        partial(train, form="hinge", lr_g=3e-4, lr_d=6e-4, betas=(0.0, 0.9), log_steps=False, first=0),
        config={"epochs": 20, "loss": "hinge"},
    ),
    healthy(
        "ring_wasserstein",
        "the losses have any sign and size, the critic takes three steps for one",
        partial(train, form="wasserstein", critic_steps=3, epochs=14),
        config={"epochs": 14, "loss": "wgan-gp"},
    ),
    healthy(
        "ring_average_beside",
        "an average of the generator is measured beside it and is far behind at first",
        partial(train, average=True, epochs=16),
        config={"epochs": 16, "ema": 0.98},
    ),
    broken(
        "ring_wrong_optimizer",
        "optimizer of the generator made with the weights of the critic",
        "weights_never_move",
        "the distance is the same number to the last digit in every epoch, whatever the two losses do",
        partial(train, fault="optimizer of the generator made with the weights of the critic"),
        config={"epochs": 20},
    ),
    broken(
        "ring_detached",
        "detached in the step of the generator",
        "weights_never_move",
        "gradient norm of the generator exactly 0, the distance the same number in every epoch, critic's loss near 0",
        partial(train, fault="detached in the step of the generator", epochs=12),
        config={"epochs": 12},
    ),
    broken(
        "ring_critic_wins",
        "saturating loss against a critic that is too fast",
        "vanishing_gradient not_learning",
        "the critic's loss goes to 0, with it the gradient of the generator, and the distance stays",
        partial(
            train, fault="saturating loss against a critic that is too fast", lr_d=1e-2, lr_g=3e-4, radius=4.0, epochs=9
        ),
        config={"epochs": 9, "lr_d": 1e-2, "lr_g": 3e-4},
    ),
    broken(
        "ring_wrong_sign",
        "generator minimises the wrong sign",
        "loss_sign diverging",
        "both losses go to 0 together, as if both players could win, and the distance climbs without end",
        partial(train, fault="generator minimises the wrong sign"),
        config={"epochs": 20},
    ),
    broken(
        "ring_noise_zero",
        "noise is zero",
        "collapsed_representation",
        "one spot is covered at most, in every epoch, and the distance never gets small",
        partial(train, fault="noise is zero"),
        config={"epochs": 20, "modes": SPOTS},
    ),
    broken(
        "ring_no_penalty",
        "gradient penalty left out",
        "diverging exploding_gradient",
        "both losses and the gradient norm of the generator grow to hundreds and thousands",
        partial(train, form="wasserstein", fault="gradient penalty left out", lr_d=1e-2, lr_g=3e-4, epochs=12),
        config={"epochs": 12, "loss": "wgan-gp"},
    ),
    broken(
        "ring_rate_x300",
        "both learning rates times 300",
        "learning_rate_too_high diverging",
        "the generator's loss is in the hundreds at once and leaps by orders of magnitude again and again",
        partial(train, lr_g=0.3, lr_d=0.3, epochs=12),
        config={"epochs": 12, "lr": 0.3},
    ),
)
