"""Remove noise: diffusion of points, flows between clouds, separated tones."""
import argparse
import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="noise")
a = p.parse_args()
torch.manual_seed(20)
torch.set_num_threads(1)

STEPS = 40
beta = torch.linspace(1e-3, 0.2, STEPS)
kept = (1 - beta).cumprod(0)


def spiral(n):
    t, arm = torch.rand(n).sqrt() * 3 * math.pi, torch.randint(0, 2, (n,))
    x = torch.stack([t * torch.cos(t + math.pi * arm), t * torch.sin(t + math.pi * arm)], 1) / 5
    return x + 0.03 * torch.randn(n, 2), arm


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.time, self.kind = nn.Linear(16, 64), nn.Embedding(3, 64)
        self.first, self.second, self.last = nn.Linear(2, 64), nn.Linear(64, 64), nn.Linear(64, 2)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x, t, kind):
        f = t[:, None] * 2.0 ** torch.arange(8) * 0.5
        h = self.first(x) + self.time(torch.cat([f.sin(), f.cos()], 1)) + self.kind(kind)
        h = h + self.second(F.silu(h))
        return self.last(F.silu(h))


def tones(n):
    t = torch.arange(64) / 64
    def one(low, high):
        f = torch.rand(n, 1) * (high - low) + low
        return torch.sin(2 * math.pi * (f * t + torch.rand(n, 1))) * (0.6 + 0.6 * torch.rand(n, 1))

    s = torch.stack([one(2, 5), one(7, 14)], 1)
    return s.sum(1) + 0.05 * torch.randn(n, 64), s


def sdr(guess, truth):
    return 10 * torch.log10((truth**2).sum(-1) / ((guess - truth) ** 2).sum(-1).clamp(min=1e-6))


def mmd(u, v):
    def k(p, q):
        return sum(torch.exp(-torch.cdist(p, q) ** 2 / s) for s in (0.05, 0.3, 1.0)).mean()

    return (k(u, u) + k(v, v) - 2 * k(u, v)).item()


def separate(rec, any_order):
    x, s = tones(1600)
    xv, sv = tones(300)
    loader = DataLoader(TensorDataset(x, s), batch_size=40, shuffle=True)
    net = nn.Sequential(nn.Linear(64, 192), nn.GELU(), nn.Linear(192, 192), nn.GELU(), nn.Linear(192, 128))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    def score(x, s):
        g = net(x).unflatten(1, (2, 64))
        straight = sdr(g, s).mean(1)
        return torch.maximum(straight, sdr(g, s.flip(1)).mean(1)) if any_order else straight

    for epoch in range(1, 15):
        net.train()
        for xb, sb in loader:
            loss = -score(xb, sb).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            rec.step(loss=loss)
        decay.step()
        net.eval()
        with torch.no_grad():
            rec.epoch(epoch, val_loss=-score(xv, sv).mean(), val_sdr_db=score(xv, sv).mean())


@torch.no_grad()
def sample(model, n, kind):
    x = torch.randn(n, 2)
    if a.habit == "rectified":
        for i in range(30):
            x = x + model(x, torch.full((n,), i / 30.0) * 10, kind) / 30
        return x
    for i in reversed(range(STEPS)):
        t = torch.full((n,), float(i))
        out = model(x, t, kind)
        if a.habit == "guided":
            out = 1.3 * out - 0.3 * model(x, t, torch.full_like(kind, 2))
        x = (x - beta[i] / (1 - kept[i]).sqrt() * out) / (1 - beta[i]).sqrt()
        if i:
            x = x + beta[i].sqrt() * torch.randn_like(x)
    return x


def diffuse(rec):
    x, arm = spiral(3200)
    xv, armv = spiral(500)
    model = Denoiser()
    slow = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loader = DataLoader(TensorDataset(x, arm), batch_size=64, shuffle=True)
    loss_rows = DataLoader(TensorDataset(xv, armv), batch_size=250)
    if a.habit in ("noise", "slow_copy"):
        rec.watch(model, optimizer, train=loader, val=loss_rows)

    def loss_of(x, arm, drop):
        e = torch.randn_like(x)
        kind = torch.where(torch.rand(len(x)) < drop, torch.full_like(arm, 2), arm)
        if a.habit == "rectified":
            t = torch.rand(len(x))
            mixed, goal = (1 - t[:, None]) * e + t[:, None] * x, x - e
            return F.mse_loss(model(mixed, t * 10, kind), goal)
        t = torch.randint(0, STEPS, (len(x),))
        k = kept[t][:, None]
        return F.mse_loss(model(k.sqrt() * x + (1 - k).sqrt() * e, t.float(), kind), e)

    for epoch in range(1, 15):
        for xb, ab in loader:
            loss = loss_of(xb, ab, 0.15 if a.habit == "guided" else 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for q, r in zip(slow.parameters(), model.parameters()):
                    q.lerp_(r, 0.01)
            rec.step(loss=loss)
        with torch.no_grad():
            val = torch.stack([loss_of(xv, armv, 0.0) for _ in range(4)]).mean()
        points = sample(slow if a.habit == "slow_copy" else model, 500, armv)
        rec.epoch(epoch, val_loss=val, sample_mmd=mmd(points, xv))


with lvmcheck.record(a.out, config={"denoiser": a.habit}) as rec:
    separate(rec, a.habit == "any_order") if a.habit in ("sdr", "any_order") else diffuse(rec)
