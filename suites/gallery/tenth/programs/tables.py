"""Regressions of many kinds on made tables of energy use."""
import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="squared")
a = p.parse_args()
habit = a.habit
torch.manual_seed(13)
torch.set_num_threads(1)

N = 40 if habit == "interpolating" else 2400
VAL = 800


def table(n):
    area = torch.rand(n) * 200 + 40
    age = torch.randint(0, 90, (n,)).float()
    season = torch.rand(n) * 2 * math.pi
    heated = (torch.rand(n) < 0.7).float()
    noise = torch.randn(n, 3)
    x = torch.stack([area, age, season.sin(), season.cos(), heated, *noise.T], 1)
    if habit == "constant_columns":
        x = torch.cat([x, torch.zeros(n, 1), torch.full((n, 1), 7.0)], 1)
    mean = 0.012 * area * (1 + 0.01 * age) * (1.2 + season.cos() * heated) / 2
    return x, mean


x, mean = table(N + VAL)
spread = 0.15 + 0.4 * mean
if habit == "counts":
    y = torch.poisson(2 * mean)
elif habit == "ordinal":
    y = torch.bucketize(mean + 0.2 * torch.randn_like(mean), torch.tensor([0.6, 1.2, 2.0, 3.0])).float()
elif habit == "survival":
    life = torch.distributions.Exponential(mean.clamp(min=0.05)).sample()
    end = torch.distributions.Exponential(torch.tensor(0.3)).sample((len(mean),))
    y, event = torch.minimum(life, end), (life <= end).float()
else:
    y = mean + spread * torch.randn_like(mean) * (0.05 if habit == "interpolating" else 0.5)
if habit == "repeated":  # households of several years: the same row, another measurement
    first = torch.arange(600).repeat(4)
    x[:N], mean = x[first], torch.cat([mean[first], mean[N:]])
    y[:N] = mean[:N] + 0.5 * spread[first] * torch.randn(N)
centre, scale = x[:N].mean(0), x[:N].std(0)
scale = torch.where(scale > 0, scale, torch.ones(()))
x = (x - centre) / scale
if habit == "unscaled_target":
    y = y * 4000 + 20000

outputs = {"gaussian": 2, "quantiles": 3, "ordinal": 1}.get(habit, 1)
features = x.shape[1]


class Ordinal(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body, self.cuts = body, nn.Parameter(torch.tensor([-1.0, 0.0, 1.0, 2.0]))

    def forward(self, x):
        return self.body(x) - self.cuts


body = nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs))
if habit == "interpolating":
    body = nn.Sequential(nn.Linear(features, 512), nn.ReLU(), nn.Linear(512, 1))
if habit == "kernel":
    centres = x[torch.randperm(N)[:150]].clone()

    class Kernel(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("centres", centres)
            self.weight = nn.Linear(150, 1)
            nn.init.zeros_(self.weight.weight)

        def forward(self, x):
            return self.weight(torch.exp(-torch.cdist(x, self.centres) ** 2 / 16))

    body = Kernel()
model = Ordinal(body) if habit == "ordinal" else body
levels = torch.tensor([0.1, 0.5, 0.9])


def loss_of(out, y, event):
    if habit == "gaussian":
        m, log_var = out.unbind(1)
        return 0.5 * (log_var + (y - m) ** 2 / log_var.exp()).mean()
    if habit == "quantiles":
        e = y[:, None] - out
        return torch.maximum(levels * e, (levels - 1) * e).mean()
    if habit == "counts":
        return F.poisson_nll_loss(out.squeeze(1), y, log_input=True)
    if habit == "ordinal":
        return F.binary_cross_entropy_with_logits(out, (y[:, None] > torch.arange(4)).float())
    if habit == "survival":
        risk = out.squeeze(1)
        order = y.argsort(descending=True)
        return -((risk[order] - torch.logcumsumexp(risk[order], 0)) * event[order]).sum() / event.sum()
    if habit == "unscaled_target":
        return F.mse_loss(out.squeeze(1) * 3000 + 25000, y)
    if habit == "log_ratio":
        return F.smooth_l1_loss(out.squeeze(1), (y.clamp(min=0.05)).log())
    return F.mse_loss(out.squeeze(1), y)


def figures(out, y, event):
    if habit == "gaussian":
        m, s = out[:, 0], (out[:, 1] / 2).exp()
        return {"val_rmse": (m - y).pow(2).mean().sqrt(), "inside_2_sigma": ((m - y).abs() < 2 * s).float().mean()}
    if habit == "quantiles":
        return {f"below_q{round(q * 100)}": (y < out[:, i]).float().mean() for i, q in enumerate(levels.tolist())}
    if habit == "ordinal":
        return {"val_mae": ((out > 0).sum(1).float() - y).abs().mean()}
    if habit == "survival":
        sooner = (y[:, None] < y[None]) & (event[:, None] > 0)
        return {"concordance": (out > out.T)[sooner].float().mean()}
    pred = out.squeeze(1)
    pred = pred.exp() if habit in ("counts", "log_ratio") else pred * 3000 + 25000 if habit == "unscaled_target" else pred
    return {"val_r2": 1 - (pred - y).pow(2).mean() / y.var(), "val_mae": (pred - y).abs().mean()}


ev = event if habit == "survival" else torch.ones(len(y))
train = TensorDataset(x[:N], y[:N], ev[:N])
loader = DataLoader(train, batch_size=200 if habit == "survival" else 40, shuffle=True)
val_loader = DataLoader(TensorDataset(x[N:], y[N:], ev[N:]), batch_size=VAL)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-2 if habit == "kernel" else 2e-3)
epochs = {"interpolating": 500, "survival": 25}.get(habit, 12)
decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs, eta_min=1e-5)
with lvmcheck.record(a.out, config={"target": habit, "epochs": epochs}, seed=13) as rec:
    if habit in ("counts", "repeated", "constant_columns"):
        rec.watch(model, optimizer, train=loader, val=val_loader)
    for epoch in range(1, epochs + 1):
        model.train()
        for xb, yb, eb in loader:
            loss = loss_of(model(xb), yb, eb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss)
        decay.step()
        if habit == "interpolating" and epoch % 25:
            continue
        model.eval()
        with torch.no_grad():
            for xb, yb, eb in val_loader:
                out = model(xb)
                rec.epoch(epoch, val_loss=loss_of(out, yb, eb), **figures(out, yb, eb))
