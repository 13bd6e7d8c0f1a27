"""Matrix factorisation of film ratings, one to five stars."""
import torch
from torch import nn
from torch.utils.data import BatchSampler, RandomSampler

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(23)
USERS, ITEMS, R = 300, 200, 16


def ratings(n):
    u, i = torch.randint(0, USERS, (n,)), (torch.rand(n) ** 1.7 * ITEMS).long()
    bu, bi = 0.45 * torch.randn(USERS), 0.6 * torch.randn(ITEMS)
    pu, qi = torch.randn(USERS, 3), 0.45 * torch.randn(ITEMS, 3)
    noise = 1.6 if o.habit == "noisy_ratings" else 0.6
    s = 3.4 + bu[u] + bi[i] + (pu[u] * qi[i]).sum(1) + noise * torch.randn(n)
    return u, i, s.round().clamp(1, 5)


class Factors(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Embedding(USERS, R), nn.Embedding(ITEMS, R)
        self.bu, self.bi = nn.Embedding(USERS, 1), nn.Embedding(ITEMS, 1)
        self.mean = nn.Parameter(torch.tensor(0.0))
        if o.fault != "embedding_init_n01":
            for e in (self.user, self.item):
                nn.init.normal_(e.weight, std=0.1)
        for e in (self.bu, self.bi):
            nn.init.zeros_(e.weight)

    def forward(self, u, i):
        s = (self.user(u) * self.item(i)).sum(1) + self.bu(u).squeeze(1) + self.bi(i).squeeze(1) + self.mean
        if o.fault == "sigmoid_for_stars":
            s = torch.sigmoid(s)
        return s


u, i, r = ratings(16000)
tr, va = slice(0, 13000), slice(13000, 16000)
ui, ii, rv = u[va], i[va], r[va]
if o.fault == "item_ids_shifted":  # ids of the validation file count from one
    ii = (ii + 1) % ITEMS
model = Factors()
with torch.no_grad():
    if o.fault != "sigmoid_for_stars":
        model.mean.fill_(r[tr].mean())
if o.habit == "mean_starts_at_zero":
    model.mean.data.zero_()
groups = model.parameters()
if o.fault == "users_not_in_optimizer":
    groups = [*model.item.parameters(), *model.bi.parameters(), model.mean]
wd = 1e-5
opt = torch.optim.Adam(groups, lr=1.2e-2 if o.habit == "mean_starts_at_zero" else 5e-3 if o.habit == "noisy_ratings" else 8e-3, weight_decay=wd)
with lvmcheck.record(o.out, config={"factors": R, "loss": "mse", "scale": [1, 5], "weight_decay": wd}) as rec:
    if o.watch:
        rec.watch(model, opt)
    for epoch in range(1, 5 if o.habit == "noisy_ratings" else 9):
        se = n = 0
        order = list(RandomSampler(range(13000)))
        for rows in BatchSampler(order, 250, drop_last=False):
            rows = torch.tensor(rows)
            goal = r[tr][rows]
            if o.fault == "targets_of_another_batch":
                goal = r[tr][torch.randint(0, 13000, (len(rows),))]
            pred = model(u[tr][rows], i[tr][rows])
            loss = (pred - goal).pow(2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            rec.step(loss=loss)
            se, n = se + loss.item() * len(rows), n + len(rows)
        model.eval()
        with torch.no_grad():
            p = model(ui, ii)
            rmse = (p - rv).pow(2).mean().sqrt()
            hit = ((p.round() - rv).abs() < 0.5).float().mean()
        model.train()
        rec.epoch(epoch, train_rmse=(se / n) ** 0.5, val_rmse=rmse, val_exact_stars=hit)
