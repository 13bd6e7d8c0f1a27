"""Points on two rings: an autoencoder, a variational one, a denoiser, and an adversarial pair."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from suites.gallery.silent._kit import BEFORE, Family

WIDE = 10


def points(rows: int, seed: int) -> Tensor:
    """Two rings, lifted into ten dimensions."""
    g = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(rows, generator=g)
    radius = 1 + torch.randint(0, 2, (rows,), generator=g) + 0.05 * torch.randn(rows, generator=g)
    plane = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    lift = torch.randn(2, WIDE, generator=torch.Generator().manual_seed(44))
    return plane @ lift / 2 + 0.05 * torch.randn(rows, WIDE, generator=g)


class Vae(nn.Module):
    """Encoder and decoder."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        self.encoder = nn.Sequential(nn.Linear(WIDE, 48), nn.ReLU(), nn.Linear(48, 8))
        self.decoder = nn.Sequential(nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, WIDE))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = self.encoder(x).chunk(2, 1)
        if self.training and self.variant not in ("plain", "encoder_not_stepped", "denoising"):
            code = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        else:
            code = mean
        return self.decoder(code), mean, log_var


def train_code(rec: Any, variant: str) -> Any:
    torch.manual_seed(31)
    x, vx = points(768, 1), points(256, 2)
    model = Vae(variant)
    average = copy.deepcopy(model).requires_grad_(False).eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    second = None
    if variant in ("encoder_not_stepped", "two_optimizers", "encoder_not_cleared"):
        optimizer = torch.optim.Adam(model.decoder.parameters(), lr=4e-3)
        second = torch.optim.Adam(model.encoder.parameters(), lr=4e-3)
    loader = DataLoader(TensorDataset(x), 64, shuffle=True, drop_last=True)
    rec.watch(model, [optimizer, second] if second else optimizer, train=loader, val=DataLoader(TensorDataset(vx), 256))

    def parts(xb: Tensor, net: Vae) -> tuple[Tensor, Tensor]:
        seen = xb + 0.3 * torch.randn_like(xb) if variant == "denoising" and net.training else xb
        output, mean, log_var = net(seen)
        error = F.mse_loss(output, xb, reduction="none").sum(1).mean()
        return error, 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1).mean()

    history = []
    for epoch in range(12):
        model.train()
        for (xb,) in loader:
            error, divergence = parts(xb, model)
            if variant == "divergence_detached":
                divergence = divergence.detach()
            weight = {"divergence_rules": 200.0, "plain": 0.0, "denoising": 0.0}.get(variant, 0.02)
            if variant in ("encoder_not_stepped", "two_optimizers"):
                weight = 0.0
            loss = error + weight * divergence
            optimizer.zero_grad()
            if second is not None and variant != "encoder_not_cleared":
                second.zero_grad()
            loss.backward()
            optimizer.step()
            if second is not None and variant != "encoder_not_stepped":
                second.step()
            if variant == "average":
                with torch.no_grad():
                    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                        slow.lerp_(fast, 0.05)
            rec.step(loss=loss, terms={"error": (1.0, error.detach()), "divergence": (weight, divergence.detach())})
        model.eval()
        judged = average if variant.startswith("average") else model
        with torch.no_grad():
            error, divergence = parts(vx, judged)
        rec.epoch(epoch, val_loss=float(error), val_divergence=float(divergence))
        history.append(1 - float(error / vx.var(0).sum()))
    return SimpleNamespace(model=model, optimizer=optimizer, history=history, chance=0.0, vx=vx, average=average, x=x)


def train_pair(rec: Any, variant: str) -> Any:
    torch.manual_seed(32)
    x = points(1024, 1)
    maker = nn.Sequential(nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, WIDE))
    judge = nn.Sequential(nn.Linear(WIDE, 48), nn.LeakyReLU(0.2), nn.Linear(48, 1))
    of_judge = torch.optim.Adam(judge.parameters(), lr=2e-3, betas=(0.5, 0.999))
    wrong = variant == "gan_maker_optimizer_mixed"
    of_maker = torch.optim.Adam(
        [*maker[0].parameters(), *(judge if wrong else maker)[2].parameters()], lr=1e-3, betas=(0.5, 0.999)
    )
    rec.watch(maker, of_maker)
    rec.watch(judge, of_judge)
    rounds = 3 if variant == "gan_wasserstein" else 1

    def real(score: Tensor) -> Tensor:
        return -score.mean() if variant == "gan_wasserstein" else F.softplus(-score).mean()

    def made(score: Tensor) -> Tensor:
        return score.mean() if variant == "gan_wasserstein" else F.softplus(score).mean()

    history = []
    start = float((maker(torch.randn(512, 4)).mean(0) - x.mean(0)).norm())
    for step in range(150 if variant == "gan_wasserstein" else 240):
        for _ in range(rounds):
            rows = x[torch.randint(0, len(x), (64,))]
            fake = maker(torch.randn(64, 4))
            if variant != "gan_judge_never_cleared":
                of_judge.zero_grad()
            loss_judge = real(judge(rows)) + made(judge(fake.detach()))
            loss_judge.backward()
            if variant != "gan_judge_not_stepped":
                of_judge.step()
            if variant == "gan_wasserstein":
                with torch.no_grad():
                    for p in judge.parameters():
                        p.clamp_(-0.3, 0.3)
        fake = maker(torch.randn(64, 4))
        if variant == "gan_fakes_detached":
            fake = fake.detach()
        loss_maker = real(judge(fake))
        of_maker.zero_grad()
        loss_maker.backward()
        of_maker.step()
        rec.step(loss=loss_judge, loss_maker=loss_maker)
        if step % 40 == 39:
            with torch.no_grad():
                sample = maker(torch.randn(512, 4))
                distance = float((sample.std(0) - x.std(0)).abs().mean())
            rec.epoch(step // 40, spread_distance=distance)
            history.append(-distance)
    return SimpleNamespace(model=maker, judge=judge, optimizer=of_maker, history=history, chance=-0.4, x=x, start=start)


def train(rec: Any, variant: str = "clean") -> Any:
    return (train_pair if variant.startswith("gan") else train_code)(rec, variant)


family = Family("generative", train)
family.broken("divergence_detached", "the second term is detached", "detached_loss", "step 1")
family.broken("divergence_rules", "a weight of 200 lets one term rule", "term_dominates collapsed_embeddings", "step 1")
family.broken("encoder_not_stepped", "the second optimizer is never stepped", "step_never", "step 2")
family.broken("encoder_not_cleared", "the second optimizer is never cleared", "gradients_not_cleared", "step 2")
family.broken("average_forgotten", "the averaged model that is validated never moves", "ema_never_updated", "step 12")
family.broken(
    "gan_maker_optimizer_mixed",
    "the generator's optimizer holds the discriminator's last layer instead of its own",
    "foreign_parameters missing_from_optimizer duplicate_parameters",
    BEFORE,
)
family.broken("gan_judge_never_cleared", "the discriminator's gradients pile up", "gradients_not_cleared", "step 2")
family.broken("gan_judge_not_stepped", "the discriminator is never stepped", "step_never", "step 2")
family.sound("clean", "two terms, a small weight")
family.sound("plain", "one term of weight 0")
family.sound("denoising", "targets are cleaner than inputs")
family.sound("average", "an averaged copy is validated")
family.sound("two_optimizers", "encoder and decoder have an optimizer each")
family.sound("gan", "two models and optimizers; gradients of the generator's loss reach the discriminator")
family.sound("gan_wasserstein", "three steps of one model for one of the other; weights clamped")
PROGRAMS = family.programs
