"""Ratings of films by factors of users and films; its history is a JSON list."""
import json
import os
import torch
from torch import nn
from common import options, facts

TASK = "recommender (explicit ratings)"
RECORDER = False
FAULTS = {
    "film_numbers_differ": ("films of the validation file are numbered anew", ["validation_differs", "validation_transformed", "overfitting"], False),
    "decay_one": ("weight_decay=1 with Adam: factors die", ["weight_decay_destroys", "not_learning", "outputs_collapsed", "undertrained"], False),
    "plain_mean_of_lr": ("learning rate 1e-6", ["learning_rate_too_low", "not_learning", "undertrained"], False),
    "rmse_adds_up": ("the sum of squares is not set back between epochs and is divided by one epoch's count", ["wrong_scale", "numeric_range", "validation_differs"], False),
}
HABITS = {"": "RMSE of ratings", "early_stop": "stopped when validation got worse twice", "percent_within_half": "share of ratings within half a star, in percent"}


class Factors(nn.Module):
    def __init__(self, users, films, k):
        super().__init__()
        self.u, self.f, self.bu, self.bf = nn.Embedding(users, k), nn.Embedding(films, k), nn.Embedding(users, 1), nn.Embedding(films, 1)
        for e in (self.u, self.f):
            nn.init.normal_(e.weight, std=.1)
        for e in (self.bu, self.bf):
            nn.init.zeros_(e.weight)

    def forward(self, u, f):
        return 3.5 + (self.u(u) * self.f(f)).sum(1) + self.bu(u)[:, 0] + self.bf(f)[:, 0]


def main():
    o = options()
    torch.manual_seed(21)
    n, users, films = 24000, 400, 250
    u, f = torch.randint(0, users, (n,)), torch.randint(0, films, (n,))
    pu, pf = torch.randn(users, 3), torch.randn(films, 3)
    r = (3.5 + .35 * torch.randn(users)[u] + .5 * torch.randn(films)[f] + .35 * (pu[u] * pf[f]).sum(1) + .3 * torch.randn(n)).clamp(.5, 5)
    r = (2 * r).round() / 2
    cut = 20000
    vf = f[cut:]
    if o.fault == "film_numbers_differ":
        vf = torch.randperm(films)[vf]
    model = Factors(users, films, 8)
    lr = 1e-6 if o.fault == "plain_mean_of_lr" else 5e-3
    opt = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=1. if o.fault == "decay_one" else 1e-5)
    history, worse, best, square = [], 0, 9., 0.
    for epoch in range(1, 41 if o.habit == "early_stop" else 16):
        total = 0.
        for rows in torch.randperm(cut).split(256):
            loss = ((model(u[rows], f[rows]) - r[rows]) ** 2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() * len(rows) / cut
        if o.fault != "rmse_adds_up":
            square = 0.
        with torch.no_grad():
            out = model(u[cut:], vf)
            square += ((out - r[cut:]) ** 2).sum().item()
        rmse = (square / len(out)) ** .5
        if o.habit == "percent_within_half":
            history.append({"epoch": epoch, "train_mse": total, "val_within_half": 100 * ((out - r[cut:]).abs() <= .5).float().mean().item()})
        else:
            history.append({"epoch": epoch, "train_mse": total, "val_rmse": rmse})
        worse = worse + 1 if rmse > best else 0
        best = min(best, rmse)
        if o.habit == "early_stop" and worse == 2:
            break
    os.makedirs(o.out, exist_ok=True)
    with open(os.path.join(o.out, "history.json"), "w") as file:
        json.dump(history, file)
    true = ((out - r[cut:]) ** 2).mean() ** .5
    facts(score=true, trivial=r[cut:].std(), lower_is_better=True, best=best, epochs=epoch)


if __name__ == "__main__":
    main()
