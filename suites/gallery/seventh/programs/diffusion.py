"""Denoising diffusion of a two-dimensional distribution; evaluation samples from an EMA of the weights."""
import copy
import math

import torch
from torch import nn

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(31)
STEPS, BATCH, T = 700, 128, 40


def moons(n):
    a = torch.rand(n) * math.pi
    top = torch.rand(n) < 0.5
    x = torch.where(top, torch.cos(a), 1 - torch.cos(a))
    y = torch.where(top, torch.sin(a), 0.5 - torch.sin(a))
    p = torch.stack([x, y], 1) + 0.06 * torch.randn(n, 2)
    p = (p - torch.tensor([0.5, 0.25])) / torch.tensor([0.87, 0.5])
    return p * 40 + 100 if o.fault == "data_not_normalised" else p


betas = torch.linspace(1e-3, 0.18, T)
if o.habit == "cosine_schedule":
    f = torch.cos((torch.linspace(0, 1, T + 1) + 0.01) / 1.01 * math.pi / 2) ** 2
    betas = (1 - f[1:] / f[:-1]).clamp(1e-4, 0.5)
abar = torch.cumprod(1 - betas, 0)


class Denoiser(nn.Module):
    def __init__(self, h=96):
        super().__init__()
        self.time = nn.Embedding(T, 32)
        self.net = nn.Sequential(nn.Linear(34, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, 2))

    def forward(self, x, t):
        if o.fault == "time_not_given":
            t = torch.zeros_like(t)
        return self.net(torch.cat([x, self.time(t)], 1))


def noised(x0, t, eps):
    if o.fault == "sqrt_forgotten":
        return abar[t, None] * x0 + (1 - abar[t, None]) * eps
    return abar[t, None].sqrt() * x0 + (1 - abar[t, None]).sqrt() * eps


@torch.no_grad()
def sample(model, n):
    x = torch.randn(n, 2)
    for t in reversed(range(T)):
        e = model(x, torch.full((n,), t))
        x = (x - betas[t] / (1 - abar[t]).sqrt() * e) / (1 - betas[t]).sqrt()
        if t:
            x = x + betas[t].sqrt() * torch.randn_like(x)
    return x


def sliced_distance(a, b):
    d = torch.randn(2, 40)
    d = d / d.norm(dim=0)
    return ((a @ d).sort(0).values - (b @ d).sort(0).values).abs().mean()


model = Denoiser()
ema = copy.deepcopy(model).requires_grad_(False)
DECAY = 0.995 if o.habit == "slow_ema" else 0.98
opt = torch.optim.AdamW(model.parameters(), lr=2e-3)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=4e-3, total_steps=STEPS)
train, held = moons(6000), moons(1000)
fixed = torch.randn(6000, 2)
with lvmcheck.record(o.out, config={"steps": STEPS, "batch": BATCH, "T": T, "prediction": "noise"}) as rec:
    if o.watch:
        rec.watch(model, opt, sched)
    for step in range(1, STEPS + 1):
        rows = torch.randint(0, len(train), (BATCH,))
        t = torch.randint(0, T, (BATCH,))
        eps = torch.randn(BATCH, 2)
        pred = model(noised(train[rows], t, eps), t)
        target = train[rows] if o.fault == "predicts_x0_sampled_as_noise" else eps
        loss = (pred - target).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        if o.fault != "ema_never_updated":
            for p, q in zip(ema.parameters(), model.parameters()):
                p.lerp_(q.detach(), 1 - DECAY)
        rec.step(loss=loss, lr=sched.get_last_lr()[0])
        if step % 100 == 0:
            with torch.no_grad():
                t, eps = torch.randint(0, T, (len(held),)), torch.randn(len(held), 2)
                target = held if o.fault == "predicts_x0_sampled_as_noise" else eps
                val = (ema(noised(held, t, eps), t) - target).pow(2).mean()
                swd = sliced_distance(sample(ema, 1000), held)
            rec.log(val_loss=val, val_swd=swd)
