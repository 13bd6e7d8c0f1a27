"""Two towers, contrastive: views of one hidden thing; in-batch cross entropy and recall."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from suites.gallery.program import broken, healthy


def pairs(n, ground, noise=0.3):
    z = torch.randn(n, 8)
    a = torch.tanh(z @ ground[0]) + noise * torch.randn(n, 32)
    b = torch.sin(z @ ground[1]) + noise * torch.randn(n, 24)
    return a, b


def tower(i):
    return nn.Sequential(nn.Linear(i, 96), nn.ReLU(), nn.Linear(96, 32))


def go(
    rec,
    bug="",
    lr=2e-3,
    epochs=20,
    bs=64,
    n=2000,
    nv=256,
    temperature=0.1,
    kind="clip",
    learn_t=False,
    per_step=False,
    every=1,
    sched=None,
    margin=0.3,
):
    ground = torch.randn(8, 32) * 0.5, torch.randn(8, 24) * 0.5
    a, b = pairs(n, ground)
    va, vb = pairs(nv, ground)
    if bug == "pairs shuffled":
        b = b[torch.randperm(n)]
    if bug == "val pairs shuffled":
        vb = vb[torch.randperm(nv)]
    if bug == "few":
        a, b = a[:64], b[:64]
    if bug == "leak":
        key = torch.randn(nv, 24)
    left, right = tower(32), tower(24)
    log_t = nn.Parameter(torch.tensor(1 / temperature).log(), requires_grad=learn_t)
    params = [*left.parameters(), *right.parameters(), *([log_t] if learn_t else [])]
    if bug == "one tower":
        params = list(right.parameters())
    if bug == "neither":
        params = [log_t.requires_grad_()]
    optimizer = torch.optim.AdamW(params, lr=lr, weight_decay=1e-4)
    sch = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs * (len(a) // bs + 1)) if sched else None

    def objective(u, v):
        if bug != "no normalise":
            u, v = F.normalize(u, dim=1), F.normalize(v, dim=1)
        if kind == "triplet":
            s = u @ v.T
            pos = s.diag()
            neg = s.roll(1, 1).diag()
            if bug == "only positives":
                return (1 - pos).mean(), s
            if bug == "triplet swapped":
                pos, neg = neg, pos
            return F.relu(margin - pos + neg).mean(), s
        s = u @ v.T * log_t.exp()
        t = torch.arange(len(u))
        if bug == "softmax":
            return F.cross_entropy(s.softmax(1), t), s
        if bug == "arange off":
            t = (t + 1) % len(u)
        return (F.cross_entropy(s, t) + F.cross_entropy(s.T, t)) / 2, s

    for epoch in range(1, epochs + 1):
        mean = 0.0
        batches = torch.randperm(len(a)).split(bs)
        for rows in batches:
            loss, s = objective(left(a[rows]), right(b[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if sch:
                sch.step()
            mean += loss.item() / len(batches)
            if per_step:
                rec.step(loss=loss, lr=optimizer.param_groups[0]["lr"])
        with torch.no_grad():
            loss, s = objective(left(va), right(vb))
            r1 = (s.argmax(1) == torch.arange(nv)).float().mean().item()
            r5 = (s.topk(5, 1).indices == torch.arange(nv)[:, None]).any(1).float().mean().item()
        out = {"val_loss": loss.item(), "recall@1": r1, "recall@5": r5}
        if not per_step:
            out["train_loss"] = mean
        if learn_t:
            out["temperature"] = 1 / log_t.exp().item()
        if kind == "triplet":
            out.pop("recall@1")
        if epoch % every:
            out = {"train_loss": mean} if not per_step else {}
        rec.epoch(epoch, **out)


P = partial
PROGRAMS = [
    broken(
        "towers-pairs-shuffled",
        "pairs are torn apart in training",
        "label_mismatch label_noise not_learning overfitting",
        "train loss near ln 64, recall at chance",
        P(go, bug="pairs shuffled"),
        seed=161,
    ),
    broken(
        "towers-val-pairs-shuffled",
        "validation pairs are torn apart",
        "validation_differs label_mismatch",
        "train loss falls, validation grows, recall at chance",
        P(go, bug="val pairs shuffled"),
        seed=162,
    ),
    broken(
        "towers-64-pairs",
        "64 pairs",
        "overfitting",
        "train loss 0, validation rises",
        P(go, bug="few", epochs=150),
        seed=163,
    ),
    broken(
        "towers-softmax",
        "softmax before cross entropy",
        "wrong_scale",
        "loss hardly falls though recall is high",
        P(go, bug="softmax"),
        config={"lr": 2e-3, "batch_size": 64},
        seed=164,
    ),
    broken(
        "towers-only-temperature",
        "the optimizer holds the temperature only",
        "not_learning weights_never_move metric_constant collapsed_representation",
        "recall is constant at chance while the loss falls",
        P(go, bug="neither"),
        seed=165,
    ),
    broken(
        "towers-only-positives",
        "no negatives in the loss",
        "collapsed_representation",
        "loss 0, recall at chance",
        P(go, bug="only positives", kind="triplet"),
        seed=166,
    ),
    broken(
        "towers-targets-off",
        "targets are off by one",
        "label_mismatch label_noise not_learning",
        "",
        P(go, bug="arange off"),
        seed=168,
    ),
    broken(
        "towers-triplet-swapped",
        "positive and negative are swapped",
        "loss_sign label_mismatch collapsed_representation not_learning",
        "",
        P(go, bug="triplet swapped", kind="triplet"),
        seed=169,
    ),
    broken(
        "towers-one-tower",
        "the optimizer holds one tower",
        "learning_rate_too_low not_learning",
        "",
        P(go, bug="one tower"),
        visible=False,
        seed=170,
    ),
    healthy(
        "towers-plain",
        "validation loss is over training loss because it has more negatives",
        P(go, n=3000, epochs=10),
        seed=181,
    ),
    healthy(
        "towers-temperature",
        "learned temperature, one-cycle, validated each third epoch",
        P(go, learn_t=True, per_step=True, every=3, sched=True, epochs=21),
        config={"lr": 2e-3, "epochs": 21},
        seed=182,
    ),
    healthy("towers-triplet", "margin loss that goes nearly to 0", P(go, kind="triplet"), seed=183),
]
