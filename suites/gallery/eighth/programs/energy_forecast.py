"""Load of the next six hours from the last two days. One flat script."""
import math

import numpy as np
import torch

import lvmcheck
from common import options

o = options()
rng = np.random.default_rng(31)
torch.manual_seed(31)

# hourly load: day, week, a slow drift, weather as an AR process, noise, a few outages
hours = 24 * 7 * 16
t = np.arange(hours)
weather = np.zeros(hours)
for i in range(1, hours):
    weather[i] = 0.97 * weather[i - 1] + rng.normal(0, 0.25)
weekend = ((t // 24) % 7 >= 5).astype(float)
load = 520 + 95 * np.sin(2 * np.pi * (t % 24 - 7) / 24) + 40 * np.sin(4 * np.pi * (t % 24) / 24)
load = load - 80 * weekend + 45 * weather + 25 * np.sin(2 * np.pi * t / (24 * 60)) + rng.normal(0, 14, hours)
load[rng.integers(0, hours, 6)] *= 0.6
features = np.stack([np.sin(2 * np.pi * t / 24), np.cos(2 * np.pi * t / 24), weekend], 1)

PAST, AHEAD = 48, 6
split = int(0.8 * hours)
if o.habit == "min_max":
    mu, sd = load[:split].min(), load[:split].max() - load[:split].min()
else:
    mu, sd = load[:split].mean(), load[:split].std()
z = (load - mu) / sd


def windows(start, stop):
    xs, ys = [], []
    for i in range(start + PAST, stop - AHEAD):
        shift = AHEAD if o.fault == "window_holds_target" else 0
        xs.append(np.concatenate([z[i - PAST + shift : i + shift], features[i + AHEAD // 2]]))
        ys.append(z[i : i + AHEAD])
    return torch.tensor(np.array(xs), dtype=torch.float32), torch.tensor(np.array(ys), dtype=torch.float32)


if o.fault == "random_split":
    X, Y = windows(0, hours)
    order = torch.randperm(len(X))
    cut = int(0.8 * len(X))
    x, y, xv, yv = X[order[:cut]], Y[order[:cut]], X[order[cut:]], Y[order[cut:]]
else:
    (x, y), (xv, yv) = windows(0, split), windows(split, hours)


class Forecaster(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 12, 5, stride=2)
        self.conv2 = torch.nn.Conv1d(12, 12, 5, stride=2)
        self.dense = torch.nn.Linear(12 * 9 + 3, 64)
        self.out = torch.nn.Linear(64, AHEAD)
        if o.habit == "starts_as_last_value":
            torch.nn.init.zeros_(self.out.weight)
            torch.nn.init.zeros_(self.out.bias)

    def forward(self, x):
        past, extra = x[:, :PAST], x[:, PAST:]
        h = torch.relu(self.conv2(torch.relu(self.conv(past[:, None]))))
        h = torch.relu(self.dense(torch.cat([h.flatten(1), extra], 1)))
        h = self.out(h)
        if o.fault == "relu_on_output":  # "load cannot be negative"
            h = torch.relu(h)
        if o.habit == "starts_as_last_value":
            h = h + past[:, -1:]
        return h


model = Forecaster()
lr, epochs, batch = 2e-3, 10, 64
if o.fault == "learning_rate":
    lr = 0.1
opt = torch.optim.Adam(model.parameters(), lr=lr)
if o.fault == "clip_tiny":
    lr = 0.05
    opt = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
ema = None
if o.fault == "ema_too_slow":
    ema = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999))
    ema.update_parameters(model)  # counts the untrained weights
huber = torch.nn.SmoothL1Loss(beta=0.5)
quantile = torch.tensor(0.9)

best, waited = math.inf, 0
with lvmcheck.record(o.out, config={"epochs": epochs, "lr": lr, "batch": batch, "past": PAST}, **o.record) as rec:
    for epoch in range(1, epochs + 1):
        if o.habit == "walk_forward":  # every epoch some more months
            x, y = windows(0, int(split * (0.4 + 0.6 * min(1, epoch / 6))))
        model.train()
        losses = []
        for rows in torch.randperm(len(x)).split(batch):
            pred = model(x[rows])
            if o.habit == "quantile":
                diff = y[rows] - pred
                loss = torch.maximum(quantile * diff, (quantile - 1) * diff).mean()
            else:
                loss = huber(pred, y[rows])
            if o.fault == "loss_rebuilt":  # to get rid of an error about a graph that was freed
                loss = torch.tensor(loss.item(), requires_grad=True)
            opt.zero_grad()
            loss.backward()
            if o.fault == "clip_tiny":
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            opt.step()
            if ema is not None:
                ema.update_parameters(model)
            losses.append(loss.item())
            rec.step(loss=losses[-1])
        tested = model if ema is None else ema
        tested.eval()
        with torch.no_grad():
            pred = tested(xv)
            if o.habit == "quantile":
                diff = yv - pred
                val_loss = torch.maximum(quantile * diff, (quantile - 1) * diff).mean().item()
            else:
                val_loss = huber(pred, yv).item()
            real, guess = yv * sd + mu, pred * sd + mu
            mae = (real - guess).abs().mean().item()
            smape = (200 * (real - guess).abs() / (real.abs() + guess.abs())).mean().item()
        rec.epoch(epoch, loss=np.mean(losses), val_loss=val_loss, mAE=mae, val_smape=smape)
        print(f"{epoch} {np.mean(losses):.4f} {val_loss:.4f} mAE {mae:.1f} sMAPE {smape:.2f}%")
        if val_loss < best:
            best, waited = val_loss, 0
        else:
            waited += 1
        if waited >= 4 and not o.fault:
            break
