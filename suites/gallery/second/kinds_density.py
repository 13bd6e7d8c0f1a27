"""Densities and samplers: flows, autoencoders with a prior, critics, diffusion; losses below zero are at home here."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import Interrupted, broken, healthy


def _moons(n: int) -> torch.Tensor:
    t, side = math.pi * torch.rand(n), (torch.rand(n) < 0.5).float()
    x = torch.stack([t.cos() * (1 - 2 * side) + side, t.sin() * (1 - 2 * side) + 0.5 * side], 1)
    return x + 0.06 * torch.randn(n, 2) - torch.tensor([0.5, 0.25])


def _net(a: int, b: int, wide: int = 48) -> nn.Sequential:
    return nn.Sequential(nn.Linear(a, wide), nn.SiLU(), nn.Linear(wide, wide), nn.SiLU(), nn.Linear(wide, b))


# -- a flow ----------------------------------------------------------------------------------------------------------
def flow(
    rec: Recorder, bug: str = "", scale: float = 1.0, epochs: int = 12, log: str = "nll", lr: float = 6e-3
) -> None:
    x = scale * _moons(2400)
    if bug == "val_raw":
        x[2000:] = x[2000:] * 10
    nets = nn.ModuleList(_net(1, 2, 32) for _ in range(4))
    logs = nn.Parameter(torch.zeros(2))
    opt = torch.optim.Adam([*nets.parameters(), logs], lr=lr)

    def nll(z: torch.Tensor) -> torch.Tensor:
        det = logs.sum().expand(len(z))
        z = z * logs.exp()
        for j, net in enumerate(nets):
            keep, move = z[:, j % 2 : j % 2 + 1], z[:, 1 - j % 2 : 2 - j % 2]
            s, t = net(keep).chunk(2, 1)
            s = s.tanh() * 2
            move = move * s.exp() + t
            z = torch.cat([keep, move] if j % 2 == 0 else [move, keep], 1)
            det = det - s[:, 0] if bug == "det" else det + s[:, 0]
        prior = -0.5 * (z**2).sum(1) - math.log(2 * math.pi)
        return (prior + det).mean() if bug == "sign" else -(prior + det).mean()

    for epoch in range(epochs):
        total = 0.0
        for i in torch.randperm(2000).split(100):
            loss = nll(x[i])
            opt.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(nets.parameters(), 5.0)
            opt.step()
            total += loss.item() / 20
            if log == "steps":
                rec.step(loss=loss, grad_norm=norm)
        with torch.no_grad():
            val = nll(x[2000:])
        if log == "nll":
            rec.epoch(epoch, train_nll=total, val_nll=val)
        elif log == "bpd":
            rec.epoch(epoch, bpd=total / 2 / math.log(2) + 8, val_bpd=val / 2 / math.log(2) + 8)
        else:
            rec.epoch(epoch, val_nll=val)


# -- a mixture density network ------------------------------------------------------------------------------------
def mixture(rec: Recorder, bug: str = "", steps: int = 900, noise: float = 0.05) -> None:
    x = torch.rand(2000, 1) * 2 - 1
    y = torch.where(torch.rand(2000, 1) < 0.5, x**2, -(x**2)) + noise * torch.randn(2000, 1)
    net = _net(1, 9)
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)

    def nll(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        w, m, s = net(a).chunk(3, 1)
        s = s if bug == "raw_sigma" else s.exp()
        one = -0.5 * ((b - m) / s) ** 2 - s.log() - 0.919
        return -(w.log_softmax(1) + one).logsumexp(1).mean()

    for step in range(1, steps + 1):
        i = torch.randint(1600, (64,))
        loss = nll(x[i], y[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 30 == 0:
            with torch.no_grad():
                rec.log({"train_loss": loss, "valid_loss": nll(x[1600:], y[1600:])}, step=step)


# -- a variational autoencoder ---------------------------------------------------------------------------------------
def vae(rec: Recorder, bug: str = "", beta: float = 1.0, anneal: int = 0, epochs: int = 14, lr: float = 2e-3) -> None:
    x = torch.tanh(torch.randn(1800, 5) @ torch.randn(5, 40)) + 0.1 * torch.randn(1800, 40)
    enc, dec = _net(40, 16, 64), _net(8, 40, 64)
    opt = torch.optim.Adam([*enc.parameters(), *dec.parameters()], lr=lr)

    def terms(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        m, s = enc(v).chunk(2, 1)
        z = m + torch.randn_like(m) * (0.5 * s).exp()
        if bug == "unused":
            z = torch.randn_like(m)
        fit = F.mse_loss(dec(z), v, reduction="none").sum(1).mean() * 5
        if bug == "mean_fit":
            fit = F.mse_loss(dec(z), v)
        kl = -0.5 * (1 + s - m**2 - s.exp()).sum(1).mean()
        if bug == "kl_sign":
            kl = -kl
        return fit, kl

    for epoch in range(epochs):
        weight = beta * min(1.0, epoch / anneal) if anneal else beta
        total = 0.0
        for i in torch.randperm(1500).split(50):
            fit, kl = terms(x[i])
            loss = fit + weight * kl
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 30
            rec.step(loss=loss, terms={"recon": (1.0, fit), "kl": (weight, kl)})
        with torch.no_grad():
            fit, kl = terms(x[1500:])
        rec.epoch(epoch, val_loss=fit + weight * kl, val_recon=fit, val_kl=kl)


# -- a critic with a gradient penalty -----------------------------------------------------------------------------
def wgan(rec: Recorder, bug: str = "", steps: int = 200) -> None:
    real = _moons(2000) + torch.tensor([1.5, 1.0])
    g, d = _net(4, 2), _net(2, 1)
    og = torch.optim.Adam(g.parameters(), lr=5e-4, betas=(0.5, 0.9))
    od = torch.optim.Adam(d.parameters(), lr=1e-3, betas=(0.5, 0.9))
    strength = 0.0 if bug == "no_penalty" else 10.0
    for step in range(1, steps + 1):
        for _ in range(3):
            a, b = real[torch.randint(2000, (64,))], g(torch.randn(64, 4)).detach()
            mid = torch.lerp(a, b, torch.rand(64, 1)).requires_grad_()
            slope = torch.autograd.grad(d(mid).sum(), mid, create_graph=True)[0].norm(dim=1)
            gap = d(a).mean() - d(b).mean()
            d_loss = -gap + strength * ((slope - 1) ** 2).mean()
            od.zero_grad()
            d_loss.backward()
            od.step()
        out = d(g(torch.randn(64, 4))).mean()
        g_loss = out if bug == "g_sign" else -out
        og.zero_grad()
        g_loss.backward()
        og.step()
        if step % 10 == 0:
            rec.log({"d_loss": d_loss, "g_loss": g_loss, "wasserstein": gap}, step=step)


# -- diffusion -----------------------------------------------------------------------------------------------------------
def diffusion(rec: Recorder, bug: str = "", epochs: int = 12, log: str = "steps", stop: int = 0) -> None:
    x = torch.cat([_moons(2200), _moons(2200)], 1)[:, :2] * 1.5
    net = _net(3, 2, 96)
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    alpha = torch.linspace(0.9999, 0.9, 50).cumprod(0)

    def error(v: torch.Tensor) -> torch.Tensor:
        t = torch.randint(50, (len(v),))
        e = torch.randn_like(v)
        noisy = alpha[t].sqrt()[:, None] * v + (1 - alpha[t]).sqrt()[:, None] * e
        if bug == "other_noise":
            e = torch.randn_like(v)
        if bug == "no_time":
            t = torch.zeros_like(t)
        return F.mse_loss(net(torch.cat([noisy, t[:, None] / 50], 1)), e)

    for epoch in range(1, epochs + 1):
        total = 0.0
        for i in torch.randperm(2000).split(50):
            loss = error(x[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 40
            if log == "steps":
                rec.step(loss=loss, lr=2e-3)
        with torch.no_grad():
            val = torch.stack([error(x[2000:]) for _ in range(5)]).mean()
        if log == "steps":
            rec.epoch(epoch, val_loss=val)
        else:
            rec.epoch(epoch, **{"train/denoise": total, "val/denoise": val})
        if epoch == stop:
            raise Interrupted


PROGRAMS = [
    broken(
        "flow_det",
        "log-determinant subtracted in the couplings",
        "loss_sign diverging",
        "the loss goes on falling; without the dimension nobody knows that it cannot",
        partial(flow, bug="det"),
        visible=False,
        seed=1,
    ),
    broken(
        "flow_sign",
        "log-likelihood minimised",
        "loss_sign diverging",
        "the loss runs to minus infinity",
        partial(flow, bug="sign", log="steps", epochs=5),
        seed=2,
    ),
    broken(
        "flow_val_raw",
        "validation data ten times as large",
        "validation_differs wrong_scale",
        "validation worse than training by orders from the first epoch",
        partial(flow, bug="val_raw"),
        seed=3,
    ),
    healthy(
        "flow_negative_nats", "small scale: the loss crosses zero and goes below", partial(flow, scale=0.2), seed=4
    ),
    healthy("flow_bpd", "bits per dimension about 8 and hardly falling", partial(flow, log="bpd"), seed=5),
    healthy(
        "flow_steps",
        "per-step loss crosses zero, gradient norms spike",
        partial(flow, scale=0.3, log="steps"),
        seed=6,
        config={"epochs": 12},
    ),
    broken(
        "mixture_raw_sigma",
        "exp forgotten on the widths",
        "numeric_range exploding_gradient diverging",
        "NaN",
        partial(mixture, bug="raw_sigma"),
        seed=1,
    ),
    healthy("mixture_negative", "negative log likelihood goes below zero, jumps", partial(mixture), seed=2),
    broken(
        "vae_mean_fit",
        "reconstruction averaged over the pixels, KL summed",
        "dominant_term collapsed_representation wrong_scale not_learning",
        "KL goes to 0 and reconstruction stays where it began",
        partial(vae, bug="mean_fit"),
        seed=1,
    ),
    broken(
        "vae_unused",
        "the decoder gets fresh noise instead of the code",
        "not_learning collapsed_representation target_leak",
        "KL 0, reconstruction at the variance",
        partial(vae, bug="unused"),
        seed=2,
    ),
    broken(
        "vae_kl_sign",
        "KL subtracted",
        "loss_sign diverging dominant_term",
        "a KL below zero and a loss without a floor",
        partial(vae, bug="kl_sign"),
        seed=3,
    ),
    healthy(
        "vae_annealed",
        "the loss rises while KL is faded in",
        partial(vae, beta=4.0, anneal=10),
        seed=4,
        config={"epochs": 14, "beta": 4.0},
    ),
    healthy("vae_plain", "KL rises through training", partial(vae), seed=5),
    broken(
        "wgan_no_penalty",
        "penalty weight 0",
        "diverging exploding_gradient learning_rate_too_high dominant_term loss_not_computed",
        "distance and losses swing by tens, in both signs",
        partial(wgan, bug="no_penalty"),
        seed=1,
    ),
    broken(
        "wgan_g_sign",
        "generator's sign",
        "loss_sign diverging",
        "the distance grows and grows",
        partial(wgan, bug="g_sign"),
        seed=2,
    ),
    healthy("wgan_plain", "critic loss rises towards zero, generator loss wanders", partial(wgan), seed=3),
    broken(
        "diffusion_other_noise",
        "target is another noise than the one added",
        "label_mismatch not_learning label_noise target_leak",
        "the loss stays at 1, the variance of the noise",
        partial(diffusion, bug="other_noise"),
        seed=1,
    ),
    broken(
        "diffusion_no_time",
        "the network always sees time 0",
        "not_learning label_mismatch",
        "just a little worse",
        partial(diffusion, bug="no_time"),
        visible=False,
        seed=2,
    ),
    healthy("diffusion_plateau", "flat and noisy after the first epoch", partial(diffusion), seed=3),
    healthy("diffusion_epochs", "flat, validation about training", partial(diffusion, log="epochs"), seed=4),
    broken(
        "diffusion_stopped",
        "stopped by hand after 3 of 12 epochs",
        "interrupted",
        "the run says that it was interrupted",
        partial(diffusion, log="epochs", stop=3),
        seed=5,
        config={"epochs": 12},
    ),
]
