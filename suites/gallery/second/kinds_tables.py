"""Unusual kinds of tables: many labels, quantiles, ordered classes, ranking, recommending, counts, survival, graphs."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def mlp(*sizes: int, drop: float = 0.0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(drop)]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def average_precision(score: torch.Tensor, truth: torch.Tensor) -> float:
    found = []
    for s, y in zip(score.T, truth.T, strict=True):
        if y.sum() == 0:
            continue
        y = y[s.argsort(descending=True)]
        precision = y.cumsum(0) / torch.arange(1, len(y) + 1)
        found.append((precision * y).sum() / y.sum())
    return float(torch.stack(found).mean())


# -- several labels a row ------------------------------------------------------------------------------------------
def multilabel(rec: Recorder, bug: str = "", log: str = "map", epochs: int = 15, drop: float = 0.0) -> None:
    w = torch.randn(30, 20) * 0.6
    x = torch.randn(2400, 30)
    y = ((x + 0.1 * torch.randn_like(x)) @ w > 5.2).float()
    if bug == "misaligned":
        y[:2000] = y[:2000].roll(1, 0)
    if bug == "forgotten":
        y[:2000] *= (torch.rand(2000, 20) < 0.6).float()
    if bug == "val_columns":
        y[2000:] = y[2000:].roll(1, 1)
    model = mlp(30, 128, 20, drop=drop)
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for i in torch.randperm(2000).split(50):
            out = model(x[i])
            if bug == "twice":
                out = out.sigmoid()
            loss = F.binary_cross_entropy_with_logits(out, y[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 40
        model.eval()
        with torch.no_grad():
            out = model(x[2000:])
            if bug == "twice":
                out = out.sigmoid()
            p, t = out.sigmoid() > 0.5, y[2000:]
            val = F.binary_cross_entropy_with_logits(out, t).item()
        f1 = float(2 * (p * t).sum() / (p.sum() + t.sum() + 1e-9))
        if log == "map":
            rec.epoch(epoch, train_loss=total, val_loss=val, val_mAP=average_precision(out, t))
        elif log == "f1":
            rec.epoch(epoch, loss=total, val_f1=f1, val_accuracy=(p == t).float().mean())
        else:
            rec.epoch(epoch + 1, loss=total, val_loss=val)


# -- a quantile ------------------------------------------------------------------------------------------------------
def quantile(rec: Recorder, bug: str = "", q: float = 0.9, steps: int = 1200, noise: float = 1.0) -> None:
    x = torch.rand(3000, 6) * 2 - 1
    y = (x[:, 0] * 2 + torch.sin(3 * x[:, 1]) + noise * torch.randn(3000) * (0.5 + x[:, 2].abs()))[:, None]
    model = mlp(6, 64, 64, 1)
    opt = torch.optim.Adam(model.parameters(), lr=1e-3)

    def pinball(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        e = target - out
        if bug == "min":
            return torch.min(q * e, (q - 1) * e).mean()
        if bug == "mirrored":
            e = -e
        return torch.max(q * e, (q - 1) * e).mean()

    for step in range(1, steps + 1):
        i = torch.randint(2500, (64,))
        loss = pinball(model(x[i]), y[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 40 == 0:
            with torch.no_grad():
                out = model(x[2500:])
            cover = (y[2500:] <= out).float().mean()
            rec.log({"train/pinball": loss, "val/pinball": pinball(out, y[2500:]), "val/coverage": cover}, step=step)


# -- ordered classes -----------------------------------------------------------------------------------------------
def ordinal(rec: Recorder, bug: str = "", epochs: int = 20, noise: float = 0.3) -> None:
    x = torch.randn(2000, 12)
    z = x @ torch.randn(12) / 3 + noise * torch.randn(2000)
    y = (z[:, None] > torch.tensor([-1.0, -0.4, 0.3, 0.9])).sum(1)
    seen = y.clone()
    if bug == "reversed_val":
        seen[1600:] = 4 - seen[1600:]
    if bug == "noisy":
        seen[:1600] = torch.where(torch.rand(1600) < 0.3, torch.randint(5, (1600,)), seen[:1600])
    levels = (seen[:, None] > torch.arange(4)).float()
    body, bias = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 1)), nn.Parameter(torch.zeros(4))
    if bug == "sgd_tiny":
        opt: torch.optim.Optimizer = torch.optim.SGD([*body.parameters(), bias], lr=3e-5)
    else:
        opt = torch.optim.Adam([*body.parameters(), bias], lr=3e-3)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for i in torch.randperm(1600).split(64):
            loss = F.binary_cross_entropy_with_logits(body(x[i]) + bias, levels[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 25
        with torch.no_grad():
            out = body(x[1600:]) + bias
            val = F.binary_cross_entropy_with_logits(out, levels[1600:])
            mae = ((out > 0).sum(1) - seen[1600:]).abs().float().mean()
        rec.epoch(epoch, train_loss=total, val_loss=val, val_mae=mae)


# -- ranking -----------------------------------------------------------------------------------------------------------
def ranking(rec: Recorder, bug: str = "", epochs: int = 12, noise: float = 0.7) -> None:
    x = torch.randn(600, 10, 8)
    score = x @ torch.randn(8) / 2 + x[..., 0] * x[..., 1] + noise * torch.randn(600, 10)
    rel = torch.zeros_like(score).scatter_(
        1, score.topk(4, 1).indices, torch.tensor([3.0, 2.0, 1.0, 1.0]).expand(600, 4)
    )
    if bug == "leak":
        x[..., 7] = rel
    model = mlp(8, 48, 1)
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    discount = 1 / torch.log2(torch.arange(2, 12).float())
    ideal = ((2 ** rel.sort(1, descending=True).values - 1) * discount).sum(1)

    def ndcg(rows: slice) -> torch.Tensor:
        order = model(x[rows])[..., 0].argsort(1, descending=True)
        return (((2 ** rel[rows].gather(1, order) - 1) * discount).sum(1) / ideal[rows]).mean()

    with torch.no_grad():
        rec.log({"ndcg": ndcg(slice(500, 600))}, step=0)
    for epoch in range(epochs):
        for i in torch.randperm(500).split(20):
            s = model(x[i])[..., 0]
            target = torch.softmax(-rel[i] if bug == "ascending" else rel[i], 1)
            loss = -(target * s.log_softmax(1)).sum(1).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            rec.step(loss=loss)
        with torch.no_grad():
            rec.epoch(epoch, ndcg=ndcg(slice(500, 600)))


# -- implicit feedback -----------------------------------------------------------------------------------------------
def recommend(rec: Recorder, bug: str = "", epochs: int = 14, init: float = 0.1, lr: float = 1e-2) -> None:
    users, items = 150, 200
    taste = torch.randn(users, 4) @ torch.randn(4, items)
    liked = (taste + torch.randn(users, items)).topk(30, 1).indices
    liked = liked.gather(1, torch.rand(users, 30).argsort(1))
    train, test = liked[:, :24], liked[:, 24:]
    if bug == "tested_on_train":
        test = train[:, :6]
    u, v = nn.Embedding(users, 16), nn.Embedding(items, 16)
    nn.init.normal_(u.weight, std=init)
    nn.init.normal_(v.weight, std=init)
    opt = torch.optim.Adam([*u.parameters(), *v.parameters()], lr=lr)
    pairs = torch.stack([torch.arange(users).repeat_interleave(24), train.flatten()], 1)
    for epoch in range(1, epochs + 1):
        if bug == "reset":
            u.reset_parameters()
            v.reset_parameters()
        total, n = 0.0, 0
        for b in pairs[torch.randperm(len(pairs))].split(200):
            who, pos = b.T
            if bug == "negatives_liked":
                neg = train[who, torch.randint(24, (len(who),))]
            else:
                neg = torch.randint(items, (len(who),))
            diff = (u(who) * (v(pos) - v(neg))).sum(1)
            loss = -F.logsigmoid(diff).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            if bug == "reset":
                rec.step(loss=loss)
            total, n = total + loss.item(), n + 1
        with torch.no_grad():
            s = u.weight @ v.weight.T
            if bug != "tested_on_train":
                s = s.scatter(1, train, -1e9)
            top = s.topk(10, 1).indices
            recall = (top[:, :, None] == test[:, None]).any(1).float().mean()
        rec.epoch(epoch, bpr_loss=total / n, **{"recall@10": recall})


# -- counts --------------------------------------------------------------------------------------------------------------
def poisson(rec: Recorder, bug: str = "", level: float = 1.5, epochs: int = 15, log: str = "nll") -> None:
    x = torch.randn(2000, 8)
    rate = (level + 0.5 * x[:, 0] + 0.4 * torch.sin(2 * x[:, 1])).exp()
    y = torch.poisson(rate)
    model = mlp(8, 64, 1)
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(epochs):
        total = 0.0
        for i in torch.randperm(1600).split(40):
            out = model(x[i])[:, 0]
            loss = F.poisson_nll_loss(out, y[i], log_input=bug != "not_log")
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 40
        with torch.no_grad():
            out = model(x[1600:])[:, 0]
            if bug == "val_rate":
                out = out.exp()
            val = F.poisson_nll_loss(out, y[1600:], log_input=bug != "not_log")
        if log == "nll":
            rec.epoch(epoch, nll=total, val_nll=val)
        else:
            rec.epoch(epoch, loss=total, val_loss=val, val_mae=(out.exp() - y[1600:]).abs().mean())


# -- survival ------------------------------------------------------------------------------------------------------------
def survival(rec: Recorder, bug: str = "", epochs: int = 15, wide: int = 32) -> None:
    x = torch.randn(1200, 10)
    risk = x[:, 0] + 0.7 * x[:, 1] * x[:, 2].sign()
    t = -torch.rand(1200).log() / risk.exp()
    censor = -torch.rand(1200).log() * 1.5
    event, time = (t <= censor).float(), torch.minimum(t, censor)
    model = mlp(10, wide, 1)
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)

    def cox(out: torch.Tensor, time: torch.Tensor, event: torch.Tensor) -> torch.Tensor:
        order = time.argsort(descending=bug != "ascending")
        out, event = out[order], event[order]
        if bug == "inverted":
            event = 1 - event
        return -((out - out.logcumsumexp(0)) * event).sum() / event.sum()

    def concordance(out: torch.Tensor) -> torch.Tensor:
        t, e = time[1000:], event[1000:]
        pairs = (t[:, None] < t) & (e[:, None] > 0)
        return ((out[:, None] > out) & pairs).sum() / pairs.sum()

    for epoch in range(epochs):
        total = 0.0
        for i in torch.randperm(1000).split(100):
            loss = cox(model(x[i])[:, 0], time[i], event[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 10
        with torch.no_grad():
            out = model(x[1000:])[:, 0]
            rec.epoch(
                epoch, train_loss=total, val_loss=cox(out, time[1000:], event[1000:]), val_c_index=concordance(out)
            )


# -- a graph ---------------------------------------------------------------------------------------------------------------
def graph(rec: Recorder, bug: str = "", layers: int = 2, epochs: int = 80, decay: float = 5e-3) -> None:
    n, k = 240, 4
    label = torch.arange(n) % k
    same = label[:, None] == label
    adj = (torch.rand(n, n) < torch.where(same, 0.06, 0.012)).float().triu(1)
    adj = adj + adj.T + torch.eye(n)
    degree = adj.sum(1)
    adj = adj / (degree[:, None] * degree).sqrt()
    x = torch.randn(n, 32) + 0.35 * torch.randn(k, 32)[label]
    train = torch.zeros(n, dtype=torch.bool)
    train[:40] = True
    val = train if bug == "same_mask" else ~train
    sizes = [32] + [16] * (layers - 1) + [k]
    mods = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))

    def run(h: torch.Tensor, training: bool) -> torch.Tensor:
        for j, m in enumerate(mods):
            h = adj @ m(F.dropout(h, 0.5, training))
            h = F.relu(h) if j < len(mods) - 1 else h
        return h

    opt = torch.optim.Adam(mods.parameters(), lr=1e-2, weight_decay=decay)
    for epoch in range(epochs):
        out = run(x, True)
        loss = F.cross_entropy(out[train], label[train])
        opt.zero_grad()
        loss.backward()
        opt.step()
        with torch.no_grad():
            out = run(x, False)
            hit = (out.argmax(1) == label).float()
            rec.epoch(
                epoch,
                loss=loss,
                val_loss=F.cross_entropy(out[val], label[val]),
                train_acc=hit[train].mean(),
                val_acc=hit[val].mean(),
            )


PROGRAMS = [
    broken(
        "multilabel_twice",
        "sigmoid before BCE-with-logits",
        "numeric_range wrong_scale not_learning vanishing_gradient",
        "loss stops at 0.69, the worst a probability of one half gives",
        partial(multilabel, bug="twice"),
        seed=1,
    ),
    broken(
        "multilabel_misaligned",
        "training rows and labels off by one",
        "label_mismatch label_noise not_learning overfitting",
        "mAP stays at the base rate",
        partial(multilabel, bug="misaligned"),
        seed=2,
    ),
    broken(
        "multilabel_val_columns",
        "label columns of the validation file rotated",
        "label_mismatch validation_differs overfitting",
        "training loss falls, validation loss rises from the first epochs",
        partial(multilabel, bug="val_columns", log="loss"),
        seed=3,
    ),
    broken(
        "multilabel_forgotten",
        "the annotators forgot 40 % of the labels of the training rows",
        "label_noise validation_differs",
        "F1 is lower than it could be",
        partial(multilabel, bug="forgotten", log="f1"),
        visible=False,
        seed=6,
    ),
    healthy(
        "multilabel_f1_late",
        "F1 is zero at first and accuracy starts at the share of negatives",
        partial(multilabel, log="f1"),
        seed=4,
    ),
    healthy(
        "multilabel_dropout",
        "training loss above validation loss because of dropout",
        partial(multilabel, drop=0.4),
        seed=5,
        config={"lr": 2e-3, "epochs": 15},
    ),
    broken(
        "quantile_min",
        "min for max in the pinball loss",
        "loss_sign diverging",
        "a pinball loss cannot be negative",
        partial(quantile, bug="min"),
        seed=1,
    ),
    broken(
        "quantile_mirrored",
        "error with the wrong sign",
        "loss_sign label_mismatch",
        "coverage 0.1 where 0.9 was declared",
        partial(quantile, bug="mirrored"),
        seed=2,
        config={"quantile": 0.9},
    ),
    healthy(
        "quantile_floor",
        "noise dominates: the loss is flat after a few hundred steps",
        partial(quantile, noise=3.0),
        seed=3,
        config={"quantile": 0.9},
    ),
    healthy(
        "quantile_low",
        "coverage near 0.1 is what was asked for",
        partial(quantile, q=0.1),
        seed=4,
        config={"quantile": 0.1, "lr": 1e-3},
    ),
    broken(
        "ordinal_reversed_val",
        "validation labels count from the other end",
        "label_mismatch validation_differs overfitting",
        "validation MAE rises while training loss falls",
        partial(ordinal, bug="reversed_val"),
        seed=1,
    ),
    broken(
        "ordinal_lr_tiny",
        "SGD with 3e-5 instead of 3e-2",
        "learning_rate_too_low not_learning weights_never_move learning_rate_zero",
        "the loss hardly moves in 20 epochs",
        partial(ordinal, bug="sgd_tiny"),
        seed=2,
    ),
    broken(
        "ordinal_noisy_labels",
        "30 % of the training labels drawn at random",
        "label_noise",
        "a high plateau, as with any hard task",
        partial(ordinal, bug="noisy"),
        visible=False,
        seed=4,
    ),
    healthy("ordinal_noise", "MAE stands still at the noise", partial(ordinal, noise=1.0), seed=3),
    broken(
        "ranking_ascending",
        "relevance negated in the target",
        "loss_sign label_mismatch validation_differs overfitting",
        "loss falls and NDCG falls with it",
        partial(ranking, bug="ascending"),
        seed=1,
    ),
    broken(
        "ranking_leak",
        "the relevance is among the features",
        "target_leak",
        "NDCG about 1 after one epoch",
        partial(ranking, bug="leak"),
        seed=2,
    ),
    healthy(
        "ranking_entropy", "the listwise loss cannot fall far below log 10; NDCG starts high", partial(ranking), seed=3
    ),
    broken(
        "recommend_negatives",
        "negatives drawn from the items that the user liked",
        "not_learning label_noise label_mismatch",
        "BPR loss stays about 0.69 and recall at chance",
        partial(recommend, bug="negatives_liked"),
        seed=1,
    ),
    broken(
        "recommend_reset",
        "embeddings initialised in every epoch",
        "weights_reset not_learning",
        "the loss falls within every epoch and starts again from the top",
        partial(recommend, bug="reset"),
        seed=2,
    ),
    broken(
        "recommend_tested_on_train",
        "the test items are training items",
        "validation_is_training target_leak",
        "recall is just high",
        partial(recommend, bug="tested_on_train"),
        visible=False,
        seed=3,
    ),
    healthy(
        "recommend_slow_start",
        "tiny initial embeddings: 0.693 for some epochs, then the fall",
        partial(recommend, init=0.003, lr=2e-3, epochs=25),
        seed=4,
    ),
    healthy("recommend_small_recall", "recall is a small number", partial(recommend), seed=5),
    broken(
        "poisson_not_log",
        "log_input=False with a log-rate output",
        "numeric_range diverging exploding_gradient learning_rate_too_high",
        "NaN at once",
        partial(poisson, bug="not_log"),
        seed=1,
    ),
    broken(
        "poisson_val_rate",
        "exp applied twice in validation",
        "validation_differs wrong_scale numeric_range",
        "validation loss far above training loss from the first epoch",
        partial(poisson, bug="val_rate"),
        seed=2,
    ),
    healthy(
        "poisson_negative",
        "a negative log likelihood without its constant is negative",
        partial(poisson, level=2.5),
        seed=3,
    ),
    healthy(
        "poisson_small",
        "low counts: the loss hardly falls, as little can be known",
        partial(poisson, level=-0.3, log="mae"),
        seed=4,
    ),
    broken(
        "survival_ascending",
        "risk set in the wrong order of time",
        "loss_sign label_mismatch",
        "concordance falls below one half while the loss falls",
        partial(survival, bug="ascending"),
        seed=1,
    ),
    broken(
        "survival_inverted",
        "event indicator inverted",
        "label_mismatch label_noise not_learning overfitting",
        "concordance near one half",
        partial(survival, bug="inverted"),
        seed=2,
    ),
    healthy(
        "survival_batch_scale",
        "Cox loss depends on the size of the risk set: validation is always higher",
        partial(survival),
        seed=3,
    ),
    broken(
        "graph_same_mask",
        "validation mask is the training mask",
        "validation_is_training",
        "both accuracies are equal in all epochs",
        partial(graph, bug="same_mask"),
        seed=1,
    ),
    broken(
        "graph_deep",
        "12 layers instead of 2",
        "vanishing_gradient collapsed_representation not_learning",
        "loss stays at log 4",
        partial(graph, layers=12),
        seed=2,
    ),
    healthy(
        "graph_transductive", "40 labelled nodes: training accuracy 1, validation stays below", partial(graph), seed=4
    ),
]
