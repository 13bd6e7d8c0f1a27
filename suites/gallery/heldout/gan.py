"""Adversarial training on a ring of eight blobs: Wasserstein with a penalty, hinge, and the classical loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lvmcheck import Recorder
from suites.gallery.heldout._kit import grad_norm
from suites.gallery.program import Program, broken, healthy

MODES = 8
CORNERS = 2.0 * torch.stack([f(torch.arange(MODES) * math.tau / MODES) for f in (torch.cos, torch.sin)], 1)


def ring(count: int) -> Tensor:
    return CORNERS[torch.randint(MODES, (count,))] + 0.1 * torch.randn(count, 2)


def net(inside: int, outside: int, width: int = 64) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inside, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, outside),
    )


def quality(points: Tensor) -> tuple[float, float]:
    """Blobs with at least a quarter of their share, and the mean distance of a point from the nearest centre."""
    far, blob = torch.cdist(points, CORNERS).min(1)
    filled = torch.bincount(blob[far < 0.6], minlength=MODES)
    return float((filled >= len(points) / MODES / 4).sum()), float(far.mean())


def adversarial(
    rec: Recorder,
    *,
    fault: str = "",
    kind: str = "wasserstein",
    epochs: int = 12,
    steps: int = 30,
    critic_steps: int = 3,
    rate: float = 2e-3,
    ema: float = 0.0,
    batch: int = 128,
    names: tuple[str, str] = ("d_loss", "g_loss"),
    recorded: str = "both",
    quality_every: int = 1,
) -> None:
    """``recorded``: what a step reports, the generator's loss alone or both as terms."""
    generator, critic = net(4, 2), net(2, 1)
    slow = copy.deepcopy(generator)
    first = torch.optim.Adam(critic.parameters(), rate, betas=(0.5, 0.9))
    second = torch.optim.Adam(generator.parameters(), rate, betas=(0.5, 0.9))

    def noise() -> Tensor:
        z = torch.randn(batch, 4)
        return z * 0 if fault == "noise times 0" else z

    def penalty(real: Tensor, fake: Tensor) -> Tensor:
        share = torch.rand(len(real), 1)
        between = (share * real + (1 - share) * fake).requires_grad_()
        slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
        return (slope.norm(dim=1) - 1).pow(2).mean()

    def critic_loss() -> Tensor:
        real, fake = ring(batch), generator(noise()).detach()
        if fault == "real replaced by fake":
            real = generator(noise()).detach()
        yes, no = critic(real), critic(fake)
        if kind == "wasserstein":
            loss = no.mean() - yes.mean()
            return loss if fault == "no penalty" else loss + 1.0 * penalty(real, fake)
        if kind == "hinge":
            return functional.relu(1 - yes).mean() + functional.relu(1 + no).mean() + 0.3 * penalty(real, fake)
        target = torch.ones_like(no) if fault == "ones for both" else torch.zeros_like(no)
        guess = functional.binary_cross_entropy_with_logits
        return guess(yes, torch.ones_like(yes)) + guess(no, target) + 0.1 * critic_slope(real)

    def critic_slope(real: Tensor) -> Tensor:
        real = real.requires_grad_()
        return torch.autograd.grad(critic(real).sum(), real, create_graph=True)[0].pow(2).sum(1).mean()

    def generator_loss() -> Tensor:
        score = critic(generator(noise()))
        value = functional.softplus(-score).mean() if kind == "classical" else -score.mean()
        return -value if fault == "sign of the generator" else value

    for epoch in range(1, epochs + 1):
        sums = [0.0, 0.0]
        for _ in range(steps):
            for _ in range(critic_steps):
                first.zero_grad()
                d = critic_loss()
                d.backward()
                if fault != "critic never steps":
                    first.step()
            if fault != "not cleared":
                second.zero_grad()
            g = generator_loss()
            g.backward()
            norm = grad_norm(generator.parameters())
            if fault != "generator never steps":
                second.step()
            for mean, live in zip(slow.parameters(), generator.parameters(), strict=True):
                mean.data.lerp_(live.data, 1 - ema)
            sums = [sums[0] + d.item() / steps, sums[1] + g.item() / steps]
            if recorded == "both":
                rec.step(loss=d + g, terms={"critic": (1.0, d), "generator": (1.0, g)}, grad_norm=norm, lr=rate)
            else:
                rec.step(loss=g, samples=batch)
        metrics = dict(zip(names, sums, strict=True))
        if epoch % quality_every == 0:
            with torch.no_grad():
                points = torch.cat([(slow if ema else generator)(noise()) for _ in range(8)])
            modes, far = quality(points)
            metrics |= {"modes": modes, "distance": far}
        rec.epoch(epoch, **metrics)


GAN = {"epochs": 12, "lr": 2e-3, "critic_steps": 3, "loss": "wgan-gp"}
plain = partial(
    adversarial, kind="classical", critic_steps=1, recorded="generator", epochs=20, names=("D/loss", "G/loss")
)
hinge = partial(adversarial, kind="hinge", critic_steps=2, epochs=16, recorded="generator")
PROGRAMS: Sequence[Program] = (
    healthy(
        "ring_wgan",
        "The generator's loss rises from 0 to 6 and falls slowly; the total rises; samples become better.",
        adversarial,
        config=GAN,
    ),
    healthy(
        "ring_wgan_ema",
        "Judged every fourth epoch by an average of the generator's weights.",
        partial(adversarial, ema=0.95, quality_every=4, epochs=16),
        config=GAN,
    ),
    broken(
        "ring_wgan_no_penalty",
        "the gradient penalty is missing",
        "diverging exploding_gradient",
        "The generator's loss grows to 100 and its gradient norm to 50, faster and faster; blobs come and go.",
        partial(adversarial, fault="no penalty", epochs=16),
        config=GAN,
    ),
    broken(
        "ring_wgan_generator_sign",
        "the generator's loss has the wrong sign",
        "loss_sign diverging",
        "Both losses run to minus 1e5 and samples away from the ring.",
        partial(adversarial, fault="sign of the generator"),
        config=GAN,
    ),
    broken(
        "ring_wgan_generator_still",
        "the generator's step is missing",
        "weights_never_move not_learning",
        "Distance and blobs stay as they were while the critic is done in two epochs.",
        partial(adversarial, fault="generator never steps"),
        config=GAN,
    ),
    broken(
        "ring_wgan_noise_0",
        "the noise is multiplied by 0",
        "collapsed_representation",
        "No blob is ever filled: all samples are one point that wanders; the critic's loss stays at -3.",
        partial(adversarial, fault="noise times 0"),
        config=GAN,
    ),
    broken(
        "ring_wgan_not_cleared",
        "the generator's zero_grad is missing",
        "gradients_not_cleared",
        "The generator's gradient norm grows from 1 to 80; the twin's stays near 2.",
        partial(adversarial, fault="not cleared"),
        config=GAN,
    ),
    healthy("ring_hinge", "Both losses go up and down and end higher than they began.", hinge),
    broken(
        "ring_hinge_fakes",
        "the critic gets generated points as real ones",
        "label_mismatch not_learning",
        "The critic stays at 2, the value of knowing nothing, and samples leave the ring.",
        partial(hinge, fault="real replaced by fake"),
    ),
    healthy("ring_classical", "Both losses stay near ln 4 and ln 2 for 20 epochs while samples become better.", plain),
    broken(
        "ring_classical_ones",
        "generated points have the label 1, too",
        "label_mismatch not_learning",
        "Both losses go to 0, which no pair of adversaries can do, and samples leave the ring.",
        partial(plain, fault="ones for both"),
    ),
    broken(
        "ring_classical_critic_still",
        "the critic's step is missing",
        "weights_never_move diverging",
        "The critic's loss grows to 25, far above ln 4, the generator's goes to 0, samples are 150 away.",
        partial(plain, fault="critic never steps"),
    ),
)
