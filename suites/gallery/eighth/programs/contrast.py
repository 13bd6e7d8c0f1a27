"""SimCLR-like contrastive learning of 1-d signals; recall@1 among held-out signals by their kind."""
import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck
from common import options

torch.set_num_threads(1)
torch.manual_seed(5)
o = options()

LENGTH, KINDS = 48, 20
hp = dict(epochs=9, batch_size=64, lr=2e-3, temperature=0.15, dim=24)
if o.habit == "large_batch":
    hp.update(batch_size=320, lr=4e-3, epochs=14)

protos = torch.randn(KINDS, 6)
harm = torch.arange(1, 7).float()


def signals(n):
    kind = torch.randint(KINDS, (n,))
    t = torch.linspace(0, 1, LENGTH)
    amp = protos[kind] + (0.9 if o.habit == "hard" else 0.4) * torch.randn(n, 6)
    start = t + 0.2 * torch.rand(n, 1, 1) - 0.1
    clean = (amp[:, :, None] * torch.sin(2 * math.pi * harm[:, None] * start + 0.7 * harm[:, None])).sum(1)
    return (0.6 + 0.8 * torch.rand(n, 1)) * clean + 0.5 * torch.randn(n, LENGTH), kind


def view(x):
    x = x * (0.7 + 0.6 * torch.rand(len(x), 1)) + 0.5 * torch.randn_like(x)
    shift = torch.randint(-5, 6, (1,)).item()
    x = x.roll(shift, 1)
    hole = torch.randint(LENGTH - 8, (1,)).item()
    x = x.clone()
    x[:, hole:hole + 8] = 0
    return x


class Encoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.body = nn.Sequential(nn.Unflatten(1, (1, LENGTH)), nn.Conv1d(1, 16, 7, 2, 3), nn.ReLU(), nn.Conv1d(16, 32, 5, 2, 2), nn.ReLU(),
                                  nn.Flatten(), nn.Linear(32 * 12, 64), nn.ReLU())
        self.proj = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, dim))

    def forward(self, x):
        z = self.proj(self.body(x))
        return z if o.fault == "no_normalise" else F.normalize(z, dim=1)


def info_nce(a, b):
    t = hp["temperature"]
    if o.fault == "self_in_denominator":
        z = torch.cat([a, b])
        sim = z @ z.T / t
        n = len(a)
        return F.cross_entropy(sim, torch.arange(2 * n).roll(n))
    sim = a @ b.T * t if o.fault == "temp_times" else a @ b.T / t
    target = torch.arange(len(a))
    return (F.cross_entropy(sim, target) + F.cross_entropy(sim.T, target)) / 2


def recall_at_1(model, x, kind):
    model.eval()
    with torch.no_grad():
        rows = torch.arange(len(x))
        if o.fault == "gallery_shuffled":
            # the loader shuffles; embeddings and labels are collected in two passes
            z = torch.cat([F.normalize(model(x[r]), dim=1) for r in torch.randperm(len(x)).split(100)])
            kind = torch.cat([kind[r] for r in torch.randperm(len(x)).split(100)])
        else:
            z = torch.cat([F.normalize(model(x[r]), dim=1) for r in rows.split(100)])
        sim = z @ z.T
        if o.fault != "recall_self":
            sim.fill_diagonal_(-2)
        hit = (kind[sim.argmax(1)] == kind).float().mean().item()
    model.train()
    return hit


x, _ = signals(1280)
xv, kv = signals(300)
encoder = Encoder(hp["dim"])
momentum = copy.deepcopy(encoder).requires_grad_(False)
opt = torch.optim.AdamW(encoder.parameters(), lr=hp["lr"], weight_decay=1e-4)
with lvmcheck.record(o.out, config=hp, **o.extra) as rec:
    for epoch in range(hp["epochs"]):
        total, n = 0.0, 0
        for rows in torch.randperm(len(x)).split(hp["batch_size"]):
            if len(rows) < hp["batch_size"]:
                continue
            first = view(x[rows])
            second = first if o.fault == "same_view" else view(x[rows])
            if o.habit == "moco":
                with torch.no_grad():
                    for p, q in zip(momentum.parameters(), encoder.parameters()):
                        p.lerp_(q, 0.1)
                    b = momentum(second)
                a = encoder(first)
            else:
                a, b = encoder(torch.cat([first, second])).chunk(2)
            loss = info_nce(a, b)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total, n = total + loss.item(), n + 1
            rec.step(loss=loss.item())
        with torch.no_grad():
            vloss = info_nce(*encoder(torch.cat([view(xv[:64]), view(xv[:64])])).chunk(2)).item()
        rec.epoch(epoch, nce=total / n, val_nce=vloss, **{"val_recall_at_1": recall_at_1(encoder, xv, kv)})
