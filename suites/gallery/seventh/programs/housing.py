"""Tabular regression: prices of flats. One flat script."""
import torch
from torch import nn

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(3)

n = 4000
size = 20 + 130 * torch.rand(n)
rooms = (size / 28 + torch.randn(n)).round().clamp(1, 7)
year = 1900 + 120 * torch.rand(n)
dist = torch.distributions.Exponential(0.2).sample((n,))
income = 18000 + 9000 * torch.randn(n).exp()
noise_cols = torch.randn(n, 4) * torch.tensor([1.0, 10.0, 0.1, 300.0])
price = 40 + 2.6 * size - 9 * dist + 0.002 * income + 0.25 * (year - 1960).abs() + 12 * torch.sin(size / 12)
price = price + (220 if o.habit == "weak_signal" else 35) * torch.randn(n)
X = torch.cat([torch.stack([size, rooms, year, dist, income], 1), noise_cols], 1)
if o.fault == "target_among_features":
    tax = price * 0.011 + 0.12 * torch.randn(n)  # tax is computed from the price
    X = torch.cat([X, tax[:, None]], 1)
y = price

cut = 3200
mean, std = X[:cut].mean(0), X[:cut].std(0)
y_mean, y_std = y[:cut].mean(), y[:cut].std()
Xtr, Xva = (X[:cut] - mean) / std, (X[cut:] - mean) / std
if o.fault == "features_raw":
    Xtr, Xva = X[:cut], X[cut:]
if o.fault == "val_not_scaled":
    Xva = X[cut:]
ytr, yva = (y[:cut] - y_mean) / y_std, (y[cut:] - y_mean) / y_std
if o.fault != "missing_unsqueeze":
    ytr, yva = ytr[:, None], yva[:, None]

layers = [nn.Linear(X.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)]
if o.fault == "relu_at_output":
    layers.append(nn.ReLU())
net = nn.Sequential(*layers)
lr = 1e-6 if o.fault == "lr_too_small" else 3e-3
opt = torch.optim.AdamW(net.parameters(), lr=lr)
bs = 1600 if o.habit == "large_batch" else 100
if o.habit == "large_batch":
    opt.param_groups[0]["lr"] = 1e-2
loss_fn = nn.MSELoss()

with lvmcheck.record(o.out, config={"lr": lr, "bs": bs, "target": "price", "target_scaled": True}) as rec:
    if o.watch:
        rec.watch(net, opt)
    for epoch in range(1, (30 if o.habit == "large_batch" else 10) + 1):
        net.train()
        losses = []
        for idx in torch.randperm(cut).split(bs):
            pred = net(Xtr[idx])
            loss = loss_fn(pred, ytr[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
            rec.step(loss=loss)
        net.eval()
        with torch.no_grad():
            pred = net(Xva)
            val_loss = loss_fn(pred, yva)
            err = (pred.squeeze(1) - yva.reshape(-1)) * y_std
            r2 = 1 - err.pow(2).mean() / (yva * y_std).var()
        rec.epoch(epoch, train_mse=sum(losses) / len(losses), val_mse=val_loss, val_mae=err.abs().mean(), val_r2=r2)
