"""Densities of two moons and of a many-valued curve."""
import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck


def moons(n):
    t = math.pi * torch.rand(n)
    up = torch.rand(n) < 0.5
    x = torch.stack([torch.where(up, t.cos(), 1 - t.cos()), torch.where(up, t.sin(), 0.5 - t.sin())], 1)
    return (x + 0.06 * torch.randn(n, 2)) - torch.tensor([0.5, 0.25])


def net(inputs, outputs, width=64):
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, outputs))


class Coupling(nn.Module):
    def __init__(self, first):
        super().__init__()
        self.first, self.net = first, net(1, 2)

    def forward(self, x):
        kept, moved = (x[:, :1], x[:, 1:]) if self.first else (x[:, 1:], x[:, :1])
        scale, shift = self.net(kept).chunk(2, 1)
        scale = 2 * torch.tanh(scale / 2)
        moved = moved * scale.exp() + shift
        return torch.cat([kept, moved] if self.first else [moved, kept], 1), scale.squeeze(1)


class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(i % 2 == 0) for i in range(6))

    def forward(self, x):
        total = 0
        for layer in self.layers:
            x, change = layer(x)
            total = total + change
        return -0.5 * (x**2).sum(1) - math.log(2 * math.pi) + total


class Mixture(nn.Module):
    """p(y | x) of a curve that folds back."""

    def __init__(self, parts=8):
        super().__init__()
        self.net = net(1, 3 * parts)

    def forward(self, xy):
        logit, mean, log_std = self.net(xy[:, :1]).chunk(3, 1)
        log_std = log_std.clamp(-4, 2)
        each = -0.5 * ((xy[:, 1:] - mean) / log_std.exp()) ** 2 - log_std - 0.5 * math.log(2 * math.pi)
        return torch.logsumexp(F.log_softmax(logit, 1) + each, 1)


class Energy(nn.Module):
    """An unnormalised log density with its constant as a parameter."""

    def __init__(self):
        super().__init__()
        self.net, self.constant = net(2, 1), nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.net(x).squeeze(1) - self.constant


class Bins(nn.Module):
    """Autoregressive over two discretised axes."""

    def __init__(self, bins=40):
        super().__init__()
        self.bins = bins
        self.first, self.second = nn.Parameter(torch.zeros(bins)), net(bins, bins)

    def forward(self, x):
        i = ((x + 2) / 4 * self.bins).long().clamp(0, self.bins - 1)
        hot = F.one_hot(i[:, 0], self.bins).float()
        one = F.log_softmax(self.first, 0)[i[:, 0]]
        two = F.log_softmax(self.second(hot), 1).gather(1, i[:, 1:]).squeeze(1)
        return one + two - 2 * math.log(4 / self.bins)


def noise_density(x):
    return -0.5 * (x**2).sum(1) - math.log(2 * math.pi)


def contrast(model, x):
    z = torch.randn_like(x)
    real, fake = model(x) - noise_density(x), model(z) - noise_density(z)
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def score_loss(model, x, sigma=0.15):
    """Denoising score matching."""
    e = torch.randn_like(x)
    noisy = (x + sigma * e).requires_grad_(True)
    (s,) = torch.autograd.grad(model(noisy).sum(), noisy, create_graph=True)
    return 0.5 * ((sigma * s + e) ** 2).sum(1).mean()


p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="flow")
a = p.parse_args()
torch.manual_seed(6)
torch.set_num_threads(1)
if a.habit == "mixture":
    y = torch.rand(4800, 1) * 2 - 1
    data = torch.cat([y + 0.35 * torch.sin(2 * math.pi * y) + 0.04 * torch.randn_like(y), y], 1)
else:
    data = moons(4800)
data, held = data[:4000], data[4000:]
model = {"mixture": Mixture, "bins": Bins, "contrast": Energy, "scores": Energy}.get(a.habit, Flow)()
optimizer = torch.optim.Adam(model.parameters(), lr={"bins": 3e-3, "contrast": 3e-3, "scores": 5e-3}.get(a.habit, 1e-3))
loader = DataLoader(TensorDataset(data), batch_size=100, shuffle=True)
decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 15 * len(loader))

with lvmcheck.record(a.out, config={"density": a.habit, "epochs": 15}) as rec:
    if a.habit in ("mixture", "flow_bits"):
        rec.watch(model, optimizer, train=loader, val=DataLoader(TensorDataset(held), batch_size=200))
    for epoch in range(15):
        for (x,) in loader:
            if a.habit == "contrast":
                loss = contrast(model, x)
            elif a.habit == "scores":
                loss = score_loss(model, x)
            else:
                loss = -model(x).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            decay.step()
            rec.step(loss=loss, lr=decay.get_last_lr()[0])
        if a.habit == "scores":
            model.eval()
            rec.epoch(epoch, val_loss=sum(score_loss(model, held).item() for _ in range(5)) / 5)
            model.train()
            continue
        model.eval()
        with torch.no_grad():
            ll = model(held).mean().item()
        model.train()
        if a.habit == "flow_bits":
            rec.epoch(epoch, bits_per_dim=-ll / math.log(2) / 2)
        elif a.habit == "contrast":
            with torch.no_grad():
                rec.epoch(epoch, val_loss=torch.stack([contrast(model, held) for _ in range(5)]).mean())
        elif a.habit == "flow_likelihood":
            rec.epoch(epoch, log_likelihood=ll)
        else:
            rec.epoch(epoch, val_nll=ll * -1)
        print(epoch, loss.item(), ll)
