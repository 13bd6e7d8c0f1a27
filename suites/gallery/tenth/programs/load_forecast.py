"""Hourly load of twelve towns: the next 12 hours from the last 48, three quantiles, time split with a drift."""
from __future__ import annotations

import argparse
import copy

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import lvmcheck

CONTEXT, HORIZON, PATCH = 48, 12, 6
QUANTILES = torch.tensor([0.1, 0.5, 0.9])


def towns(n=12, hours=1400, seed=8):
    rng = np.random.default_rng(seed)
    t = np.arange(hours)
    series = []
    for _ in range(n):
        day = 1 + 0.35 * np.sin(2 * np.pi * (t - rng.uniform(6, 10)) / 24) + 0.15 * np.sin(4 * np.pi * (t - rng.uniform(0, 6)) / 24)
        week = 1 - 0.15 * ((t // 24) % 7 >= 5)
        noise = np.zeros(hours)
        shocks = rng.normal(0, 0.035, hours)
        for k in range(1, hours):
            noise[k] = 0.9 * noise[k - 1] + shocks[k]
        series.append(rng.uniform(250, 420) * day * week * (1 + noise) * (1 + 0.05 * t / hours))
    return np.stack(series).astype(np.float32)


class Windows(Dataset):
    """Windows of all series; ``stride`` thins them out."""

    def __init__(self, series: np.ndarray, stride: int, shift: int = 0):
        self.series, self.shift = torch.from_numpy(series), shift
        last = series.shape[1] - CONTEXT - HORIZON
        self.places = [(s, t) for s in range(len(series)) for t in range(0, last, stride)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i):
        s, t = self.places[i]
        end = t + CONTEXT
        hour = torch.tensor(t % 24)
        return self.series[s, t:end], hour, self.series[s, end - self.shift : end - self.shift + HORIZON]


class Forecaster(nn.Module):
    def __init__(self, fault: str, habit: str, width: int = 40):
        super().__init__()
        self.fault, self.habit = fault, habit
        self.clock = nn.Embedding(24, 8)
        self.gru = nn.GRU(PATCH, width, batch_first=True)
        self.head = nn.Sequential(nn.Linear(width + 8, 64), nn.GELU(), nn.Linear(64, HORIZON * len(QUANTILES)))
        self.state = None

    def forward(self, x, hour):
        if self.habit == "window_norm":
            centre, spread = x.mean(1, keepdim=True), x.std(1, keepdim=True) + 1e-3
            x = (x - centre) / spread
        state = None
        if self.fault == "keeps_state" and self.state is not None and self.state.shape[1] == len(x):
            state = self.state
        _, h = self.gru(x.view(len(x), -1, PATCH), state)
        if self.fault == "keeps_state":
            self.state = h.detach()
        out = self.head(torch.cat([h[0], self.clock(hour)], 1))
        if self.fault == "sigmoid_out":
            out = out.sigmoid()
        if self.habit == "window_norm":
            out = out * spread + centre
        return out.view(len(x), HORIZON, len(QUANTILES))


def pinball(prediction, y, fault=""):
    e = y[..., None] - prediction
    if fault == "error_reversed":
        e = prediction - y[..., None]
    return torch.maximum(QUANTILES * e, (QUANTILES - 1) * e).mean()


class Trainer:
    def __init__(self, rec, fault, habit, epochs=10):
        self.rec, self.fault, self.habit, self.epochs = rec, fault, habit, epochs
        series = towns()
        cut = 1000 if fault == "clock_restarts" else 1008
        train, val = series[:, :cut], series[:, cut - CONTEXT :]
        mean, std = train.mean(), train.std()
        shift = HORIZON if fault == "target_inside" else 0
        if fault == "no_scaling":
            pass
        elif fault == "scaler_per_split":
            train = (train - mean) / std
            val = (val - val.mean()) / val.std()
        elif fault == "val_unscaled":
            train = (train - mean) / std
        elif fault == "log_of_centred":
            train, val = np.log((train - mean) / std + 2.6), np.log((val - mean) / std + 2.6)
        else:
            train, val = (train - mean) / std, (val - mean) / std
        self.train_set, self.val_set = Windows(train, 4, shift), Windows(val, 6, shift)
        if fault == "random_windows":
            every = Windows((series - mean) / std, 3)
            order = torch.randperm(len(every)).tolist()
            self.train_set = torch.utils.data.Subset(every, order[:2800])
            self.val_set = torch.utils.data.Subset(every, order[2800:3600])
        self.train_loader = DataLoader(self.train_set, 64, shuffle=True, drop_last=True)
        self.val_loader = DataLoader(self.val_set, 128)
        self.model = Forecaster(fault, habit)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-3)
        steps = epochs * len(self.train_loader)
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 5e-3, total_steps=steps)
        self.best, self.best_loss, self.waited = copy.deepcopy(self.model.state_dict()), float("inf"), 0

    def train_epoch(self):
        self.model.train()
        if self.fault == "fresh_optimizer":
            self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-3)
        if self.fault == "restores_first":
            self.model.load_state_dict(self.best)
        total = 0.0
        for x, hour, y in self.train_loader:
            self.optimizer.zero_grad()
            loss = pinball(self.model(x, hour), y, self.fault)
            loss.backward()
            if self.fault != "step_forgotten":
                self.optimizer.step()
            self.scheduler.step()
            self.rec.step(loss=loss.item(), lr=self.scheduler.get_last_lr()[0])
            total += loss.item()
        return total / len(self.train_loader)

    @torch.no_grad()
    def validate(self, loader=None):
        self.model.eval()
        p, y = map(torch.cat, zip(*[(self.model(x, h), y) for x, h, y in loader or self.val_loader]))
        inside = (y >= p[..., 0]) & (y <= p[..., 2])
        mae = (p[..., 1] - y).abs().mean()
        return {"val_pinball": pinball(p, y, self.fault).item(), "val_mae": mae.item(), "val_coverage_80": inside.float().mean().item(),
                "val_width": (p[..., 2] - p[..., 0]).mean().item()}  # fmt: skip

    def fit(self):
        for epoch in range(1, self.epochs + 1):
            train = self.train_epoch()
            scores = self.validate()
            self.rec.epoch(epoch, train_pinball=train, **scores)
            better = scores["val_pinball"] < self.best_loss
            if self.fault == "restores_first":
                better = scores["val_pinball"] > self.best_loss
            if better:
                self.best_loss, self.waited = scores["val_pinball"], 0
                self.best = self.model.state_dict() if self.fault == "best_not_copied" else copy.deepcopy(self.model.state_dict())
            elif self.habit == "early_stopping":
                self.waited += 1
                if self.waited >= 3:
                    self.rec.note(f"stopped early after epoch {epoch}")
                    break
        if self.habit == "early_stopping" or self.fault == "best_not_copied":
            self.model.load_state_dict(self.best)
            self.rec.log({f"best_{k}": v for k, v in self.validate().items()})


def main():
    cli = argparse.ArgumentParser()
    cli.add_argument("outdir")
    cli.add_argument("--fault", default="")
    cli.add_argument("--habit", default="")
    cli = cli.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(31)
    epochs = 10
    with lvmcheck.record(cli.outdir, config={"epochs": epochs, "context": CONTEXT, "horizon": HORIZON}, seed=31) as rec:
        Trainer(rec, cli.fault, cli.habit, epochs).fit()


if __name__ == "__main__":
    main()
