"""Forecast the load of several meters."""
import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="direct")
a = p.parse_args()
torch.manual_seed(18)
torch.set_num_threads(1)

METERS, HOURS, PAST, AHEAD = 6, 1500, 48, 12
t = torch.arange(HOURS).float()
phase, size = torch.rand(METERS, 1) * 6.28, torch.rand(METERS, 1) + 0.7
daily = size * torch.sin(2 * math.pi * t / 24 + phase) + 0.4 * torch.sin(2 * math.pi * t / 168 + 2 * phase)
noise, level = torch.randn(METERS, HOURS) * 0.25, torch.zeros(METERS, HOURS)
for i in range(1, HOURS):
    level[:, i] = 0.9 * level[:, i - 1] + noise[:, i]
series = 10 + 3 * (daily + level)
cut = 1200
centre, scale = series[:, :cut].mean(1, keepdim=True), series[:, :cut].std(1, keepdim=True)
scaled = (series - centre) / scale


def windows(first, last, stride=2):
    starts = torch.arange(first, last - PAST - AHEAD, stride)
    at = starts[:, None] + torch.arange(PAST + AHEAD)
    w = scaled[:, at].transpose(0, 1).flatten(0, 1)  # in order of time, all meters of an hour together
    return w[:, :PAST], w[:, PAST:]


class Linear(nn.Module):
    def __init__(self, out=AHEAD):
        super().__init__()
        self.out = nn.Sequential(nn.Linear(PAST, 64), nn.ReLU(), nn.Linear(64, out))

    def forward(self, x):
        if a.habit == "window_norm":  # each window by its own mean and deviation, and back
            m, s = x.mean(1, keepdim=True), x.std(1, keepdim=True) + 1e-3
            return self.out((x - m) / s) * s + m
        if a.habit == "residual":
            return x[:, -1:] + self.out(x)
        return self.out(x)


class Steps(nn.Module):
    """One hour after another from its own outputs."""

    def __init__(self):
        super().__init__()
        self.gru, self.head = nn.GRU(1, 32, batch_first=True), nn.Linear(32, 1)

    def forward(self, x, y=None):
        out, h = self.gru(x[..., None])
        now, path = x[:, -1:] + self.head(out[:, -1]), []
        for i in range(AHEAD):
            path.append(now)
            given = y[:, i : i + 1] if y is not None else now
            out, h = self.gru(given[..., None], h)
            now = given + self.head(out[:, -1])
        return torch.cat(path, 1)


x, y = windows(0, cut)
xv, yv = windows(cut, HOURS)
recursive = a.habit == "own_outputs"
model = Steps() if recursive else Linear(3 * AHEAD if a.habit == "quantiles" else AHEAD)
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3 if recursive else 1e-3)
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
order = "time" if a.habit == "in_order" else "random"
loader = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=order == "random")
val_loader = DataLoader(TensorDataset(xv, yv), batch_size=256)
levels = torch.tensor([0.1, 0.5, 0.9])


def error(out, y):
    if a.habit == "quantiles":
        e = y[:, None] - out.unflatten(1, (3, AHEAD))
        return torch.maximum(levels[:, None] * e, (levels[:, None] - 1) * e).mean()
    if a.habit == "weighted_hours":  # near hours matter more
        return ((out - y) ** 2 * torch.linspace(1.6, 0.4, AHEAD)).mean()
    return F.mse_loss(out, y)


naive = (xv[:, -24 : -24 + AHEAD] - yv).abs().mean().item()
with lvmcheck.record(a.out, config={"past": PAST, "ahead": AHEAD, "naive_mae": naive, "habit": a.habit}) as rec:
    if a.habit in ("in_order", "quantiles"):
        rec.watch(model, optimizer, train=loader, val=val_loader)
    for epoch in range(1, 11):
        model.train()
        for xb, yb in loader:
            loss = error(model(xb, yb) if recursive else model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss, lr=optimizer.param_groups[0]["lr"])
        model.eval()
        with torch.no_grad():
            out = torch.cat([model(xb) for xb, _ in val_loader])
        val = error(out, yv)
        plateau.step(val)
        middle = out.unflatten(1, (3, AHEAD))[:, 1] if a.habit == "quantiles" else out
        mae = (middle - yv).abs()
        if a.habit == "per_horizon":
            rec.epoch(epoch, val_mse=val, **{f"mae_h{h}": mae[:, h - 1].mean() for h in (1, 6, 12)})
        else:
            rec.epoch(epoch, val_loss=val, mase=mae.mean() / naive)
