"""SimCLR on toy signals; the history is one JSON list."""
import json
import os

import torch
import torch.nn.functional as F
from torch import nn

from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(13)
TAU = 0.5 if o.habit == "warm_temperature" else 0.2
BATCH = 24 if o.habit == "small_batch" else 128
EPOCHS = 8

classes = torch.randn(20, 40)
y_all = torch.randint(0, 20, (2400,))
style = torch.randn(2400, 40)
x_all = classes[y_all] + 0.9 * style
x_all[:, :10] = 4.0 * torch.randn(2400, 10)  # illumination: says nothing about the class
x, y, xv, yv = x_all[:1800], y_all[:1800], x_all[1800:], y_all[1800:]


def augment(v):
    v = torch.cat([v[:, :10] * torch.randn(len(v), 10), v[:, 10:]], 1)
    keep = (torch.rand_like(v) > 0.25).float()
    return v * keep * (0.8 + 0.4 * torch.rand(len(v), 1)) + 0.4 * torch.randn_like(v)


encoder = nn.Sequential(nn.Linear(40, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 64))
projector = nn.Sequential(nn.ReLU(), nn.Linear(64, 32))
model = nn.Sequential(encoder, projector)
params = list(model.parameters())
opt = torch.optim.Adam(params, lr=2e-3, weight_decay=1e-6)


def nt_xent(a, b):
    z = F.normalize(torch.cat([a, b]), dim=1)
    sim = z @ z.T * TAU if o.fault == "temperature_multiplied" else z @ z.T / TAU
    sim = sim.masked_fill(torch.eye(len(z), dtype=torch.bool), -1e9)
    n = len(a)
    target = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    if o.fault == "positives_misplaced":
        target = torch.cat([torch.arange(n), torch.arange(n, 2 * n)]) ^ 1
    return F.cross_entropy(sim, target)


@torch.no_grad()
def recall_at_1():
    model.eval()
    f = F.normalize(encoder(xv), dim=1)
    sim = f @ f.T
    sim.fill_diagonal_(-2)
    score = (yv[sim.argmax(1)] == yv).float().mean().item()
    model.train()
    return score


rec = None
if o.watch:
    import lvmcheck
    rec = lvmcheck.record(o.out, config={"tau": TAU, "batch": BATCH, "loss": "nt_xent"})
    rec.__enter__()
    rec.watch(model, opt)
history = []
for epoch in range(1, EPOCHS + 1):
    model.train()
    losses = []
    for rows in torch.randperm(len(x)).split(BATCH):
        if len(rows) < BATCH:
            continue
        if o.fault == "same_view_twice":
            v = augment(x[rows])
            a, b = model(v), model(v)
        else:
            a, b = model(augment(x[rows])), model(augment(x[rows]))
        if o.fault == "only_attraction":
            loss = (F.normalize(a, dim=1) - F.normalize(b, dim=1)).pow(2).sum(1).mean()
        else:
            loss = nt_xent(a, b)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
        if rec:
            rec.step(loss=loss)
    with torch.no_grad():
        model.eval()
        va, vb = model(augment(xv[:BATCH])), model(augment(xv[:BATCH]))
        vl = (F.normalize(va, dim=1) - F.normalize(vb, dim=1)).pow(2).sum(1).mean() if o.fault == "only_attraction" else nt_xent(va, vb)
        model.train()
    row = {"contrastive_loss": sum(losses) / len(losses), "val_contrastive_loss": vl.item(), "val_recall@1": recall_at_1()}
    if rec:
        rec.epoch(epoch, **row)
    else:
        history.append({"epoch": epoch, **row})
        os.makedirs(o.out, exist_ok=True)
        with open(os.path.join(o.out, "history.json"), "w") as f:
            json.dump(history, f)
if rec:
    rec.__exit__(None, None, None)
