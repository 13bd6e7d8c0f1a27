"""Imbalanced binary classification, history as JSON lines."""
import json
import os

import torch
from torch import nn

from common import options

torch.set_num_threads(1)
o = options()
torch.manual_seed(21)


def auc(score, y):
    order = score.argsort()
    rank = torch.empty_like(score)
    rank[order] = torch.arange(1, len(score) + 1, dtype=score.dtype)
    pos = int(y.sum())
    neg = len(y) - pos
    return float((rank[y > 0.5].sum() - pos * (pos + 1) / 2) / max(1, pos * neg))


def customers(n=4000, d=14):
    x = torch.randn(n, d)
    w = torch.randn(d) * 0.8
    s = x @ w * 0.6 + 1.1 * x[:, 0] * x[:, 1] - 0.7 * x[:, 2].abs() + 1.0 * torch.randn(n)
    return x, (s > s.quantile(0.9)).float()


class MLP(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d, 48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, x):
        z = self.net(x)
        if o.fault == "sigmoid_before_logits_loss":
            z = torch.sigmoid(z)
        return z.squeeze(1)


class History:
    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.file = open(os.path.join(folder, "history.jsonl"), "w")

    def write(self, **row):
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()


x, y = customers()
if o.fault == "oversampled_before_split":
    pos = (y > 0.5).nonzero().squeeze(1)
    extra = pos[torch.randint(0, len(pos), (2800,))]
    x, y = torch.cat([x, x[extra] + 0.01 * torch.randn(2800, x.shape[1])]), torch.cat([y, y[extra]])
perm = torch.randperm(len(y))
x, y = x[perm], y[perm]
cut = int(0.8 * len(y))
xt, yt, xv, yv = x[:cut], y[:cut], x[cut:], y[cut:]
model = MLP(x.shape[1])
decay = 0.3 if o.fault == "decay_l2_adam" else 1e-4
opt = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=decay)
weight = None
if o.habit == "pos_weight":
    weight = (yt == 0).sum() / yt.sum()
if o.fault == "pos_weight_inverted":
    weight = yt.sum() / (yt == 0).sum()
crit = nn.BCEWithLogitsLoss(pos_weight=weight)
epochs = {"one_evaluation": 3, "pos_weight": 9}.get(o.habit, 12)
if o.fault == "oversampled_before_split":
    epochs = 25

rec = None
if o.watch:
    import lvmcheck
    rec = lvmcheck.record(o.out, config={"task": "churn", "positives": 0.1})
    rec.__enter__()
    rec.watch(model, opt)
history = History(o.out) if not o.watch else None
best, bad = 1e9, 0
for epoch in range(epochs):
    model.train()
    running = 0.0
    for rows in torch.randperm(cut).split(64):
        opt.zero_grad()
        loss = crit(model(xt[rows]), yt[rows])
        loss.backward()
        opt.step()
        running += loss.item() * len(rows)
        if rec:
            rec.step(loss=loss)
    row = {"trn/bce": running / cut}
    if o.habit != "one_evaluation" or epoch == epochs - 1:
        model.eval()
        with torch.no_grad():
            z = model(xv)
            if o.fault == "argmax_of_one_column":
                pred = z[:, None].argmax(1).float()
            elif o.fault == "sigmoid_before_logits_loss":
                pred = (z > 0.5).float()
            else:
                pred = (z > 0).float()
            tp = float((pred * yv).sum())
            f1 = 2 * tp / max(1.0, float(pred.sum() + yv.sum()))
            row |= {"dev/bce": crit(z, yv).item(), "dev_f1": f1, "dev_auc": auc(z, yv), "dev_acc": float((pred == yv).float().mean())}
    if history:
        history.write(epoch=epoch, **row)
    else:
        rec.epoch(epoch, **row)
    if o.habit == "early_stopping":
        bad = 0 if row["dev/bce"] < best - 1e-3 else bad + 1
        best = min(best, row["dev/bce"])
        if bad >= 3:
            break
if rec:
    rec.__exit__(None, None, None)
