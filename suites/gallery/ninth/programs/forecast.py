"""Twelve-hour forecasts of hourly load at three sites with a small transformer encoder."""
import math

import torch
from torch import nn
import lvmcheck
from options import options

torch.set_num_threads(1)
W, H = 36, 12


def load_series(hard, hours=4200, sites=3):
    g = torch.Generator().manual_seed(17)
    t = torch.arange(float(hours))
    out = []
    for s in range(sites):
        day = (0.5 if hard else 9 + 3 * s) * torch.sin(2 * math.pi * (t - 6 + s) / 24)
        week = (0.5 if hard else 5) * torch.sin(2 * math.pi * t / 168 + s).clamp(min=-0.4)
        shock = torch.randn(hours, generator=g) * (2.5 if hard else 1.8)
        ar = torch.zeros(hours)
        for i in range(1, hours):
            ar[i] = (0.97 if hard else 0.85) * ar[i - 1] + shock[i]
        out.append(50 + 10 * s + 0.0015 * t + day + week + ar)
    return torch.stack(out)  # sites, hours


class Forecaster(nn.Module):
    def __init__(self, fault, d=24):
        super().__init__()
        self.inp = nn.Linear(1, d)
        self.pos = nn.Parameter(0.02 * torch.randn(W, d))
        layer = nn.TransformerEncoderLayer(d, 3, 48, dropout=0.1, batch_first=fault != "batch_first", norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        head = [nn.LayerNorm(d), nn.Linear(d, H)]
        if fault == "relu_out":
            head.append(nn.ReLU())
        self.head = nn.Sequential(*head)

    def forward(self, x):
        return self.head(self.body(self.inp(x[..., None]) + self.pos)[:, -1])


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.99), wd=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, wd=wd))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                b1, b2 = group["betas"]
                p.mul_(1 - group["lr"] * group["wd"]).add_(torch.sign(m.lerp(p.grad, 1 - b1)), alpha=-group["lr"])
                m.lerp_(p.grad, 1 - b2)


def cut(series, lo, hi, stride, fault):
    xs, ys = [], []
    for s in series:
        for i in range(lo, hi - W - H + 1, stride):
            xs.append(s[i : i + W])
            if fault == "target_overlap":
                ys.append(s[i + W - 1 : i + W - 1 + H])
            else:
                ys.append(s[i + W : i + W + H])
    return torch.stack(xs), torch.stack(ys)


def main():
    o = options()
    torch.manual_seed(8)
    raw = load_series(o.habit == "hard")
    split = 3400
    mean, std = raw[:, :split].mean(1, keepdim=True), raw[:, :split].std(1, keepdim=True)
    z = (raw - mean) / std
    if o.fault == "random_windows":
        x, y = cut(z, 0, raw.shape[1], 11, o.fault)
        p = torch.randperm(len(x))
        n = int(0.8 * len(x))
        (x, y), (vx, vy) = (x[p[:n]], y[p[:n]]), (x[p[n:]], y[p[n:]])
    else:
        x, y = cut(z, 0, split, 11, o.fault)
        vx, vy = cut(z, split, raw.shape[1], 8, o.fault)
    scale = std.mean().item()

    net = Forecaster(o.fault)
    lr = 2e-3
    if o.habit == "lion":
        opt, lr = Lion(net.parameters(), lr=5e-4, wd=0.1), 5e-4
    else:
        opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.01)
    epochs, batch = 8, 32

    def validate():
        net.eval()
        with torch.no_grad():
            pred = net(vx)
        net.train()
        if o.fault == "val_denorm":
            mae = (pred * scale - vy).abs().mean()
        else:
            mae = (pred - vy).abs().mean() * scale
        return nn.functional.mse_loss(pred, vy).item(), mae.item()

    with lvmcheck.record(o.out, config={"epochs": epochs, "lr": lr, "batch_size": batch, "window": W, "horizon": H}, **o.extra) as rec:
        for epoch in range(1, epochs + 1):
            rows = torch.randperm(len(x))
            if o.habit == "growing":  # more history becomes available
                rows = rows[: int(len(x) * min(1.0, 0.3 + 0.15 * epoch))]
            losses, maes = [], []
            for i, idx in enumerate(rows.split(batch)):
                out = net(x[idx])
                goal = y[rows[i : i + len(idx)]] if o.fault == "target_slice" else y[idx]
                loss = nn.functional.mse_loss(out, goal)
                opt.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                opt.step()
                losses.append(loss.item())
                maes.append((out.detach() - goal).abs().mean().item() * scale)
                rec.step(loss=loss)
            v, mae = validate()
            rec.epoch(epoch, loss=sum(losses) / len(losses), mAE=sum(maes) / len(maes), val_mse=v, val_mAE=mae)


main()
