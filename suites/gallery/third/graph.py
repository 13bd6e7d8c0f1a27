"""Classes of nodes in a graph: few labels, one step per epoch."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def blocks(n: int, p_in: float, p_out: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(4)
    y = torch.arange(n) % 4
    p = torch.where(y[:, None] == y[None], p_in, p_out)
    a = (torch.rand(n, n, generator=g) < p).float().triu(1)
    a = a + a.T
    x = 2.5 * torch.randn(n, 16, generator=g) + torch.randn(4, 16, generator=torch.Generator().manual_seed(8))[y]
    return a, x, y


def train(
    rec: Recorder,
    *,
    epochs: int = 60,
    lr: float = 2e-2,
    n: int = 400,
    labelled: int = 60,
    p_in: float = 0.08,
    p_out: float = 0.012,
    drop: float = 0.3,
    layers: int = 2,
    style: str = "acc",
    decay: float = 5e-3,
    bug: str = "",
) -> None:
    a, x, y = blocks(n, p_in, p_out)
    order = torch.randperm(n)
    tr, va, te = order[:labelled], order[labelled : labelled + 120], order[labelled + 120 :]
    if bug == "masks":
        va = tr
    if bug == "edges_permuted":
        a = a[torch.randperm(n)]
    if bug == "train_labels":
        y = y.clone()
        y[tr] = y[tr][torch.randperm(len(tr))]
    a = a + torch.eye(n)
    d = a.sum(1)
    a = a if bug == "not_normalised" else a / (d[:, None] * d[None]).sqrt()
    if bug == "all_connected":
        a = torch.full_like(a, 1 / n)
    sizes = [x.shape[1]] + [32] * (layers - 1) + [4]
    nets = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
    opt = torch.optim.Adam(nets.parameters(), lr=lr, weight_decay=decay)

    def forward(training: bool) -> torch.Tensor:
        h = x
        for k, net in enumerate(nets):
            h = a @ net(F.dropout(h, drop, training))
            if k < layers - 1:
                h = h.relu()
        return h

    for epoch in range(1, epochs + 1):
        out = forward(True)
        loss = F.cross_entropy(out[tr], y[tr])
        opt.zero_grad()
        loss.backward()
        opt.step()
        with torch.no_grad():
            out = forward(False)
            pred = out.argmax(1)
            acc = {k: (pred[i] == y[i]).float().mean().item() for k, i in (("train", tr), ("val", va), ("test", te))}
            val = F.cross_entropy(out[va], y[va]).item()
        if style == "acc":
            rec.epoch(epoch, loss=loss.item(), train_acc=acc["train"], val_acc=acc["val"], test_acc=acc["test"])
        elif style == "losses":
            rec.epoch(epoch, train_loss=loss.item(), val_loss=val)
        elif style == "percent":
            rec.step(loss=loss)
            rec.epoch(epoch, **{"val/loss": val, "val/acc%": 100 * acc["val"]})
        elif style == "every5":
            rec.step(loss=loss)
            if epoch % 5 == 0:
                rec.log({"val_micro_f1": acc["val"], "mlp_micro_f1": 0.39})


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "graph_edges_permuted",
        "rows of the adjacency are permuted",
        "label_mismatch overfitting not_learning label_noise",
        "training 1.0, validation at chance",
        p(bug="edges_permuted"),
        seed=2,
    ),
    broken(
        "graph_training_labels",
        "training labels are permuted",
        "label_mismatch label_noise overfitting",
        "validation at chance",
        p(bug="train_labels", style="acc"),
        seed=3,
    ),
    broken(
        "graph_one_block",
        "every node is a neighbour of every other",
        "collapsed_representation not_learning vanishing_gradient metric_constant label_mismatch class_imbalance",
        "the loss stays at ln 4, one class for all",
        p(bug="all_connected"),
        seed=4,
    ),
    broken(
        "graph_deep",
        "12 layers",
        "collapsed_representation vanishing_gradient not_learning",
        "the loss stays at ln 4",
        p(layers=12, style="losses"),
        seed=5,
    ),
    broken(
        "graph_masks",
        "the validation mask is that of training",
        "validation_is_training",
        "validation 1.0 like training, test lower",
        p(bug="masks"),
        seed=6,
    ),
    broken(
        "graph_not_normalised",
        "the adjacency is not normalised",
        "wrong_scale learning_rate_too_high exploding_gradient",
        "a loss of 42 at first and swings of whole units to the end",
        p(bug="not_normalised", style="losses"),
        seed=7,
    ),
    healthy("graph_plain", "few labels: training 1.0 and validation below", p(), seed=20),
    healthy("graph_losses", "one step per epoch", p(style="losses", decay=1e-2), seed=21),
    healthy("graph_percent", "accuracy in percent by epoch, the loss by step", p(style="percent"), seed=22),
    healthy("graph_baseline", "a baseline's line, every fifth step", p(style="every5", epochs=80), seed=23),
]
