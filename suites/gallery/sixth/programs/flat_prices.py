"""Prices of flats, a regression with its own CSV log."""
import csv
import os
import numpy as np
import torch
from torch import nn
from common import options, facts

TASK = "tabular regression"
RECORDER = False
FAULTS = {
    "column_vector": ("predictions [N, 1] against prices [N]", ["targets_broadcast", "not_learning", "outputs_collapsed"], False),
    "val_not_logged": ("training targets are standardised log prices, those of validation are log prices only", ["validation_differs", "validation_transformed"], False),
    "step_outdented": ("optimizer.step() stands behind the loop of batches", ["step_missing", "undertrained", "learning_rate_too_low"], False),
    "prices_shuffled": ("the prices are shuffled on their own", ["label_mismatch", "not_learning", "memorisation"], False),
    "copies_before_split": ("every flat is there four times before the random split", ["leaked_split", "duplicated_rows"], False),
    "sum_of_squares": ("reduction='sum' with the rate of a mean", ["diverging", "learning_rate_too_high", "exploding_gradient", "wrong_scale"], False),
}
HABITS = {"": "standardised log prices", "strong_dropout": "dropout 0.5: training loss above validation loss", "in_thousands": "prices in thousands: large losses, R2 below 0 at first"}


def main():
    o = options()
    rng = np.random.default_rng(3)
    torch.manual_seed(3)
    n = 750 if o.fault == "copies_before_split" else 3000
    area, rooms, age, dist = rng.gamma(9, 9, n), rng.integers(1, 6, n), rng.uniform(0, 90, n), rng.exponential(4, n)
    extra = rng.normal(size=(n, 8))
    price = np.exp(.75 * np.log(area) + .06 * rooms - .004 * age - .09 * dist + .12 * np.sin(age / 9) + .1 * extra[:, 0] * extra[:, 1] + rng.normal(0, .12, n)) * 11
    x = torch.tensor(np.column_stack([area, rooms, age, dist, extra]), dtype=torch.float32)
    y = torch.tensor(price if o.habit == "in_thousands" else np.log(price), dtype=torch.float32)
    if o.fault == "copies_before_split":
        x, y = x.repeat(4, 1), y.repeat(4)
    perm = torch.randperm(len(x))
    x, y = x[perm], y[perm]
    cut = int(.8 * len(x))
    x = (x - x[:cut].mean(0)) / x[:cut].std(0)
    tx, ty, vx, vy = x[:cut], y[:cut], x[cut:], y[cut:]
    if o.habit != "in_thousands":
        m, s = ty.mean(), ty.std()
        ty = (ty - m) / s
        if o.fault != "val_not_logged":
            vy = (vy - m) / s
    if o.fault == "prices_shuffled":
        ty = ty[torch.randperm(len(ty))]
    p = .5 if o.habit == "strong_dropout" else 0.
    net = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 1))
    opt = torch.optim.SGD(net.parameters(), lr=.05, momentum=.9) if o.habit != "in_thousands" else torch.optim.Adam(net.parameters(), 3e-3)
    mse = nn.MSELoss(reduction="sum" if o.fault == "sum_of_squares" else "mean")
    os.makedirs(o.out, exist_ok=True)
    with open(os.path.join(o.out, "metrics.csv"), "w", newline="") as f:
        w = csv.DictWriter(f, ["epoch", "train_mse", "val_mse", "val_r2", "lr"])
        w.writeheader()
        for epoch in range(30):
            net.train()
            losses = []
            for rows in torch.randperm(cut).split(64):
                out = net(tx[rows])
                if o.fault != "column_vector":
                    out = out[:, 0]
                loss = mse(out, ty[rows])
                opt.zero_grad()
                loss.backward()
                if o.fault != "step_outdented":
                    opt.step()
                losses.append(loss.item())
            if o.fault == "step_outdented":
                opt.step()
            net.eval()
            with torch.no_grad():
                out = net(vx)[:, 0]
                vm = ((out - vy) ** 2).mean().item()
            w.writerow({"epoch": epoch, "train_mse": np.mean(losses), "val_mse": vm, "val_r2": 1 - vm / vy.var().item(), "lr": opt.param_groups[0]["lr"]})
    facts(score=1 - vm / vy.var().item(), trivial=0, val=vm, train=np.mean(losses))


if __name__ == "__main__":
    main()
