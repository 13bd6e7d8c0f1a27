# flat prices from twelve columns of a listing
import numpy as np
import torch

import lvmcheck
from common import options

torch.set_num_threads(1)
torch.manual_seed(0)
o = options()
fault, habit = o.fault, o.habit
rng = np.random.default_rng(12)

# ---- table
n = 3000
area = rng.lognormal(4.2, 0.35, n)
rooms = np.clip(np.round(area / 24 + rng.normal(0, 0.8, n)), 1, 8)
year = rng.integers(1900, 2023, n).astype(float)
floor = rng.integers(0, 12, n).astype(float)
lift = (rng.random(n) < 0.3 + 0.04 * floor).astype(float)
lat, lon = rng.normal(0, 1, n), rng.normal(0, 1, n)
energy = np.clip(rng.normal(120, 40, n) - 0.4 * (year - 1960), 20, 400)
balcony = (rng.random(n) < 0.5).astype(float)
noise_db = rng.normal(55, 8, n)
station = rng.exponential(900, n)
broken_meter = rng.random(n) < 0.08
centre = np.exp(-(lat**2 + lon**2) / 2)
log_price = (
    0.9 * np.log(area) + 0.55 * centre + 0.0015 * np.abs(year - 1950) - 0.0009 * energy
    + 0.05 * balcony - 0.03 * floor * (1 - lift) * 0.6 - 0.004 * (noise_db - 55) - 0.00012 * station
    + 0.2 * np.sin(2 * lat) * centre + 0.04 * rooms
)
sd = 0.9 * 3 if habit == "mostly_noise" else 0.13
price = 8.0 * np.exp(log_price + rng.normal(0, 1, n) * (0.7 if habit == "mostly_noise" else sd))  # thousands
columns = [area, rooms, year, floor, lift, lat, lon, energy, balcony, noise_db, station]
if fault == "price_per_metre":
    columns.append(price / area)
if fault == "sentinel":
    columns[7] = np.where(broken_meter, 99999.0, energy)
    columns[10] = np.where(rng.random(n) < 0.1, -99999.0, station)
else:
    columns[7] = np.where(broken_meter, np.median(energy), energy)
X = np.stack(columns, 1)
if fault == "rows_shifted":
    X = X[1:]
    price = price[:-1]
    n -= 1

# ---- split and scales
perm = rng.permutation(n)
cut = int(0.8 * n)
tr, te = perm[:cut], perm[cut:]
mu, sigma = X[tr].mean(0), X[tr].std(0)
Xs = (X - mu) / sigma
if fault == "val_scaled_alone":
    Xs[te] = X[te] / X[te].max(0)
t_mu, t_sigma = price[tr].mean(), price[tr].std()
if fault == "raw_target":
    t_mu, t_sigma = 0.0, 1.0
x_tr = torch.tensor(Xs[tr], dtype=torch.float32)
x_te = torch.tensor(Xs[te], dtype=torch.float32)
y_tr = torch.tensor((price[tr] - t_mu) / t_sigma, dtype=torch.float32)
y_te = torch.tensor(price[te], dtype=torch.float32)

# ---- model
outputs = 2 if habit == "gaussian_nll" else 1
layers = [torch.nn.Linear(X.shape[1], 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU(), torch.nn.Linear(64, outputs)]
if fault == "relu_output":
    layers.append(torch.nn.ReLU())
net = torch.nn.Sequential(*layers)
optim = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-3)
epochs, bs = 16, 64
sched = torch.optim.lr_scheduler.OneCycleLR(optim, max_lr=4e-3, total_steps=epochs * (len(x_tr) // bs + 2))

with lvmcheck.record(o.outdir, config={"epochs": epochs, "bs": bs, "max_lr": 4e-3, "wd": 1e-3}, **o.record) as rec:
    for epoch in range(1, epochs + 1):
        rows = len(x_tr)
        if habit == "data_grows":  # new listings come in every day
            rows = min(rows, 300 + 180 * epoch)
        order = torch.randperm(rows)
        losses = []
        for i in range(0, rows, bs):
            idx = order[i : i + bs]
            out = net(x_tr[idx])
            if habit == "gaussian_nll":
                loss = torch.nn.functional.gaussian_nll_loss(out[:, 0], y_tr[idx], out[:, 1].clamp(-6, 4).exp())
            elif fault == "broadcast":
                loss = ((out - y_tr[idx]) ** 2).mean()
            else:
                loss = ((out[:, 0] - y_tr[idx]) ** 2).mean()
            optim.zero_grad()
            loss.backward()
            optim.step()
            sched.step()
            losses.append(loss.item())
            rec.step(loss=losses[-1], lr=sched.get_last_lr()[0])
        net.eval()
        with torch.no_grad():
            pred = net(x_te)[:, 0]
            if fault != "no_inverse":
                pred = pred * float(t_sigma) + float(t_mu)
            err = pred - y_te
            mae = err.mean() if fault == "mae_without_abs" else err.abs().mean()
            rmse = err.square().mean().sqrt()
            r2 = 1 - err.square().sum() / (y_te - y_te.mean()).square().sum()
            if fault == "r2_arguments":
                r2 = 1 - err.square().sum() / (pred - pred.mean()).square().sum()
        net.train()
        rec.epoch(epoch, train_mse=np.mean(losses), val_mAE=mae.item(), val_rmse=rmse.item(), val_r2=r2.item())
