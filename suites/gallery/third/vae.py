"""Autoencoders of curves: plain, denoising and variational, with their loss terms."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import nn

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def curves(n: int, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    a, b, c = torch.rand(3, n, 1, generator=g)
    t = torch.linspace(0, 1, 32)[None]
    return (1 + a) * torch.sin(2 * math.pi * (1 + 2 * b) * t + 3 * c) + 0.1 * torch.randn(n, 32, generator=g)


def train(
    rec: Recorder,
    *,
    epochs: int = 15,
    lr: float = 3e-3,
    beta: float = 0.02,
    anneal: int = 0,
    kind: str = "vae",
    style: str = "terms",
    corrupt: float = 0.0,
    latent: int = 6,
    n: int = 1000,
    bug: str = "",
) -> None:
    x, xv = curves(n, 1), curves(300, 2)
    enc = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 2 * latent))
    dec = nn.Sequential(nn.Linear(latent, 64), nn.ReLU(), nn.Linear(64, 32))
    if bug == "relu_out":
        dec = nn.Sequential(*dec, nn.ReLU())
    if bug == "dead":
        nn.init.constant_(dec[0].bias, -1e3)
    params = [*enc.parameters(), *dec.parameters()]
    opt = torch.optim.RMSprop(params, lr=lr)

    def terms(batch: torch.Tensor, target: torch.Tensor, training: bool) -> tuple[torch.Tensor, torch.Tensor]:
        mu, logvar = enc(batch).chunk(2, 1)
        if bug == "no_noise" or not training or kind == "ae":
            z = mu
        else:
            z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
        if bug == "noise_only":
            z = torch.randn_like(mu)
        recon = (dec(z) - target).square().mean()
        if bug == "recon_constant":
            recon = (target - target).square().mean() + 0 * recon
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
        if bug == "kl_sign":
            kl = -kl
        return recon, kl

    for epoch in range(epochs):
        weight = beta * min(1.0, epoch / anneal) if anneal else beta
        if bug == "beta":
            weight = beta * 100
        if kind == "ae":
            weight = 0.0
        sums = [0.0, 0.0, 0.0]
        batches = torch.randperm(n).split(50)
        for k in batches:
            noisy = x[k] + corrupt * torch.randn_like(x[k])
            target = torch.zeros_like(noisy) if bug == "target_zero" else noisy if bug == "noisy_target" else x[k]
            recon, kl = terms(noisy, target, True)
            loss = recon + weight * kl
            if bug == "log":
                loss = (recon - 0.5).log() + weight * kl
            opt.zero_grad()
            loss.backward()
            if bug == "half_lr_zero":
                opt.param_groups[0]["lr"] = lr * 0.97**rec.steps
            opt.step()
            for s, v in enumerate((loss, recon, kl)):
                sums[s] += v.item() / len(batches)
            if style == "step_terms":
                rec.step(loss=loss, terms={"recon": (1.0, recon), "kl": (weight, kl)}, lr=opt.param_groups[0]["lr"])
            elif style == "steps":
                rec.step(loss=loss)
        with torch.no_grad():
            recon, kl = terms(xv, xv, False)
            val = (recon + weight * kl).item()
            spread = enc(xv)[:, :latent].std(0).mean().item()
        if style == "terms":
            rec.epoch(
                epoch,
                train_loss=sums[0],
                train_recon=sums[1],
                train_kl=sums[2],
                val_loss=val,
                val_recon=recon.item(),
                val_kl=kl.item(),
            )
        elif style == "elbo":
            rec.epoch(epoch, train_elbo=-sums[0], val_elbo=-val, beta=weight)
        elif style == "mse":
            rec.epoch(epoch, train_loss=sums[0], val_loss=val, latent_std=spread)
        elif style == "psnr":
            rec.epoch(epoch, loss=sums[0], psnr=10 * math.log10(9 / recon.item()))
        else:
            rec.epoch(epoch, val_recon=recon.item())


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "vae_beta_100",
        "the weight of the KL term is 100 times too high",
        "dominant_term collapsed_representation not_learning wrong_scale",
        "KL goes to 0, the reconstruction is that of the mean",
        p(bug="beta"),
        seed=1,
    ),
    broken(
        "vae_kl_sign",
        "the KL term is negated",
        "loss_sign diverging dominant_term numeric_range",
        "KL is negative and falls without end",
        p(bug="kl_sign", style="terms"),
        seed=2,
    ),
    broken(
        "vae_noise_only",
        "the decoder is given noise",
        "not_learning collapsed_representation label_mismatch dominant_term",
        "reconstruction stays at the variance",
        p(bug="noise_only", style="terms"),
        seed=3,
    ),
    broken(
        "vae_target_zero",
        "the target is zeroed",
        "validation_differs label_mismatch target_leak collapsed_representation loss_not_computed",
        "training loss 0 while validation stays at the variance",
        p(bug="target_zero", style="mse", kind="ae"),
        seed=4,
    ),
    broken(
        "vae_relu_out",
        "a ReLU on outputs that are half negative",
        "not_learning vanishing_gradient",
        "a floor at half the variance",
        p(bug="relu_out", style="psnr"),
        visible=False,
        seed=5,
    ),
    broken(
        "vae_log_of_negative",
        "log of a difference that gets negative",
        "numeric_range",
        "nan",
        p(bug="log", style="steps"),
        seed=7,
    ),
    broken(
        "vae_recon_unused",
        "the reconstruction compares the target with itself",
        "loss_not_computed loss_constant collapsed_representation dominant_term metric_constant",
        "recon is 0 from the start",
        p(bug="recon_constant", style="step_terms"),
        seed=8,
    ),
    broken(
        "vae_rate_per_step",
        "decay of 0.97 per step, meant per epoch",
        "schedule_ended_early schedule_wrong learning_rate_too_low learning_rate_zero",
        "the rate is gone in the fifth epoch",
        p(bug="half_lr_zero", style="step_terms", epochs=25),
        config={"lr": 3e-3, "gamma": 0.97, "epochs": 25},
        seed=9,
    ),
    healthy("vae_plain", "KL rises while the loss falls", p(), seed=20),
    healthy(
        "vae_annealed",
        "the weight of KL grows: the loss rises",
        p(anneal=8, beta=0.04, style="terms", epochs=18),
        seed=21,
    ),
    healthy("vae_elbo", "negative evidence bound, the higher the better", p(style="elbo", anneal=5), seed=22),
    healthy(
        "vae_denoising", "denoising: validation is far below training", p(kind="ae", corrupt=0.6, style="mse"), seed=23
    ),
    healthy("vae_psnr", "decibels", p(style="psnr", kind="ae", epochs=10), seed=24),
    healthy(
        "vae_terms_by_step", "terms by step", p(style="step_terms", epochs=8), config={"lr": 3e-3, "epochs": 8}, seed=25
    ),
]
