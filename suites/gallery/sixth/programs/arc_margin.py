"""Embeddings of digits with an additive angular margin, judged by retrieval; own CSV log."""
import csv
import math
import os
import torch
from torch import nn
import torch.nn.functional as F
from common import options, facts, real

TASK = "metric learning (angular margin)"
RECORDER = False
FAULTS = {
    "scale_one": ("the scale of the cosines is 1, not 16", ["wrong_scale", "not_learning", "undertrained"], False),
    "gallery_holds_query": ("the nearest neighbour of a query may be itself: recall@1 is 1", ["metric_constant", "leaked_split", "label_leak", "validation_is_training"], False),
    "labels_of_others": ("images are shuffled before labels were taken", ["label_mismatch", "not_learning", "memorisation"], False),
    "lr_two": ("learning rate 20 with SGD", ["learning_rate_too_high", "diverging", "not_learning"], False),
    "cached_embeddings": ("the embeddings of the evaluation are cached by the first call", ["metric_constant"], False),
}
HABITS = {"": "margin loss far above that of a classifier", "margin_grows": "the margin grows each epoch: the loss rises", "no_train_column": "only recall@1 each second epoch"}


def main():
    o = options()
    torch.manual_seed(19)
    d = real()
    order = torch.randperm(1797)
    x, y = torch.from_numpy(d["digits"]).float() / 16, torch.from_numpy(d["digit_label"]).long()
    x = x[order]
    y = y if o.fault == "labels_of_others" else y[order]
    tx, ty, vx, vy = x[:1300], y[:1300], x[1300:], y[1300:]
    if o.fault == "labels_of_others":
        vy = y[order][1300:]
    net = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 16))
    centres = nn.Parameter(torch.randn(10, 16))
    opt = torch.optim.SGD([*net.parameters(), centres], lr=20. if o.fault == "lr_two" else .05, momentum=.9)
    scale = 1. if o.fault == "scale_one" else 16.
    cache = {}

    def recall():
        if o.fault == "cached_embeddings" and cache:
            e = cache["e"]
        else:
            with torch.no_grad():
                e = F.normalize(net(vx), dim=1)
            cache["e"] = e
        sim = e @ e.T
        if o.fault != "gallery_holds_query":
            sim.fill_diagonal_(-2)
        return (vy[sim.argmax(1)] == vy).float().mean().item()

    epochs = 15
    os.makedirs(o.out, exist_ok=True)
    with open(os.path.join(o.out, "history.csv"), "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["epoch", "val_recall_at_1"] if o.habit == "no_train_column" else ["epoch", "train_loss", "val_loss", "val_recall_at_1"])
        for epoch in range(1, epochs + 1):
            margin = .03 * epoch if o.habit == "margin_grows" else .2

            def criterion(x, y, margin):
                cos = F.normalize(net(x), dim=1) @ F.normalize(centres, dim=1).T
                angle = cos.clamp(-1 + 1e-6, 1 - 1e-6).acos() + margin * F.one_hot(y, 10)
                return F.cross_entropy(scale * angle.clamp(max=math.pi).cos(), y)
            losses = []
            for rows in torch.randperm(1300).split(50):
                loss = criterion(tx[rows], ty[rows], margin)
                opt.zero_grad()
                loss.backward()
                opt.step()
                losses.append(loss.item())
            with torch.no_grad():
                vl = criterion(vx, vy, margin).item()
            r = recall()
            if o.habit != "no_train_column":
                w.writerow([epoch, round(sum(losses) / len(losses), 5), round(vl, 5), round(r, 4)])
            elif epoch % 2 == 0:
                w.writerow([epoch, round(r, 4)])
    with torch.no_grad():
        e = F.normalize(net(vx), dim=1)
        sim = (e @ e.T).fill_diagonal_(-2)
    facts(score=(vy[sim.argmax(1)] == vy).float().mean(), trivial=.1, logged=r, loss=losses[-1])


if __name__ == "__main__":
    main()
