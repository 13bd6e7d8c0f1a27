"""Forecast the load of the next hour from the last 24."""
import argparse  # noqa: F401
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(17)


def load_curve(hours=2100):
    t = torch.arange(hours, dtype=torch.float32)
    day = torch.sin(2 * math.pi * t / 24) + 0.4 * torch.sin(4 * math.pi * t / 24 + 1)
    week = 0.5 * torch.sin(2 * math.pi * t / 168)
    ar, e = torch.zeros(hours), torch.randn(hours)
    for i in range(1, hours):
        ar[i] = 0.85 * ar[i - 1] + (0.9 if o.habit == "noisy" else 0.3) * e[i]
    return 500 + 120 * (day + week + ar)


class Windows(Dataset):
    def __init__(self, series, starts, size=24):
        self.series, self.starts, self.size = series, list(starts), size

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, i):
        s = self.starts[i]
        if o.fault == "target_in_window":
            return self.series[s + 1:s + self.size + 1, None], self.series[s + self.size]
        return self.series[s:s + self.size, None], self.series[s + self.size]


class Forecaster(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.rnn = nn.LSTM(1, hidden, batch_first=o.fault != "batch_first_forgotten")
        self.out = nn.Linear(hidden, 1)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.out(h[:, -1]).squeeze(1)


series = load_curve()
cut = 1600
mu, sd = series[:cut].mean(), series[:cut].std()
scaled = (series - mu) / sd
starts = torch.arange(len(series) - 25)
if o.fault == "level_shift_in_validation":  # another unit from the new meter
    scaled[cut:] = (series[cut:] * 1.35 - mu) / sd
train = DataLoader(Windows(scaled, starts[:cut - 24].tolist()), batch_size=64, shuffle=True)
val = DataLoader(Windows(scaled, starts[cut:].tolist()), batch_size=256)
model = Forecaster()
lr = 1e-2 if o.habit == "warm_restarts" else 5e-3
dtype = torch.float32
if o.fault == "weights_in_bf16":
    dtype, lr = torch.bfloat16, 2e-4
    model = model.to(dtype)
optimizer = torch.optim.Adam(model.parameters(), lr=lr)
if o.habit == "warm_restarts":
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=3)
else:
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max" if o.fault == "plateau_mode_max" else "min", factor=0.3, patience=0 if o.fault == "plateau_mode_max" else 2)

with lvmcheck.record(o.out, config={"model": "lstm", "lr": lr, "horizon": 1, "unit": "MW"}) as rec:
    if o.watch:
        rec.watch(model, optimizer, scheduler)
    for epoch in range(7):
        model.train()
        mae = n = 0
        for x, y in train:
            x, y = x.to(dtype), y.to(dtype)
            optimizer.zero_grad()
            pred = model(x)
            loss = nn.functional.mse_loss(pred, y)
            loss.backward()
            optimizer.step()
            mae += (pred.detach() - y).abs().sum().item() * sd.item()
            n += len(y)
            rec.step(loss=loss.float(), lr=optimizer.param_groups[0]["lr"])
        model.eval()
        sq = ab = naive = m = 0
        with torch.no_grad():
            for x, y in val:
                p = model(x.to(dtype)).float()
                sq += (p - y).pow(2).sum().item()
                if o.fault == "prediction_not_unscaled":
                    ab += (p - (y * sd + mu)).abs().sum().item()
                else:
                    ab += ((p - y) * sd).abs().sum().item()
                naive += ((x[:, -1, 0] - y) * sd).abs().sum().item()
                m += len(y)
        if o.habit == "warm_restarts":
            scheduler.step()
        else:
            scheduler.step(sq / m)
        rec.epoch(epoch, train_mae=mae / n, val_loss=sq / m, val_mae=ab / m, val_naive_mae=naive / m)
