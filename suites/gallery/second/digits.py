"""An MLP on synthetic 8x8 digits: a hand-written loop that keeps a line per epoch."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from suites.gallery.program import broken, healthy


def load(n: int, classes: int, noise: float, hard: float = 0.0, weights=None):
    proto = torch.randn(classes, 3, 64) + hard * torch.randn(1, 1, 64)
    y = torch.randint(0, classes, (n,)) if weights is None else torch.multinomial(torch.tensor(weights), n, True)
    x = proto[y, torch.randint(0, 3, (n,))] + noise * torch.randn(n, 64)
    return x, y


def net(classes: int, drop: float, width: int = 96) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Dropout(drop), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes)
    )


def train(
    rec,
    bug="",
    epochs=15,
    lr=1e-3,
    n=2000,
    n_val=500,
    classes=10,
    noise=1.3,
    drop=0.1,
    smooth=0.0,
    wd=0.0,
    opt="adam",
    weights=None,
    names=("train_loss", "val_loss", "val_acc"),
    percent=False,
    patience=0,
    warm=0,
    balanced=False,
):
    x, y = load(n + n_val, classes, noise, weights=weights)
    xt, yt, xv, yv = x[:n], y[:n], x[n:], y[n:]
    if bug == "labels shuffled":
        yt = yt[torch.randperm(n)]
    if bug == "labels off by one in val":
        yv = (yv + 1) % classes
    if bug == "sorted":
        order = yt.argsort()
        xt, yt = xt[order], yt[order]
    if bug == "64 rows":
        xt, yt = xt[:64], yt[:64]
    if bug == "val unnormalised":
        xv = xv * 16 + 8
    if bug == "val is train":
        xv, yv = xt, yt
    model = net(classes, 0.95 if bug == "dropout" else drop)
    if bug == "init huge":
        for p in model.parameters():
            nn.init.normal_(p, std=1.0)
    make = {"adam": torch.optim.Adam, "sgd": partial(torch.optim.SGD, momentum=0.9), "adamw": torch.optim.AdamW}[opt]
    params = net(classes, drop).parameters() if bug == "other model" else model.parameters()
    optimizer = make(params, lr=lr, weight_decay=wd)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    if warm:  # weights of an earlier run
        pre = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(warm):
            for rows in torch.randperm(n).split(64):
                pre.zero_grad()
                F.cross_entropy(model(xt[rows]), yt[rows]).backward()
                pre.step()
    best, bad = 1e9, 0
    for epoch in range(1, epochs + 1):
        model.train()
        total = seen = 0
        if bug == "reloaded":
            model.load_state_dict(start)
        order = torch.arange(len(xt)) if bug == "sorted" else torch.randperm(len(xt))
        for rows in order.split(64):
            out = model(xt[rows])
            if bug == "softmax":
                out = out.softmax(1)
            loss = F.cross_entropy(out, yt[rows], label_smoothing=smooth)
            if bug == "sign":
                loss = -loss
            if bug != "no zero_grad":
                optimizer.zero_grad()
            loss.backward()
            if bug != "no step":
                optimizer.step()
            total += loss.item() * len(rows)
            seen += len(rows)
        if bug != "val in train mode":
            model.eval()
        with torch.no_grad():
            out = model(xv)
            if bug == "softmax":
                out = out.softmax(1)
            vl = F.cross_entropy(out, yv).item()
            hit = (out.argmax(1) == yv).float()
            acc = (
                torch.stack([hit[yv == c].mean() for c in range(classes) if (yv == c).any()]).mean()
                if balanced
                else hit.mean()
            )
        if bug == "val is logged train":
            vl = total / seen
        rec.epoch(epoch, **dict(zip(names, (total / seen, vl, float(acc) * (100 if percent else 1)), strict=False)))
        if patience:
            bad = 0 if vl < best else bad + 1
            best = min(best, vl)
            if bad >= patience:
                break


P = partial
PROGRAMS = [
    broken(
        "digits-labels-shuffled",
        "training labels are permuted",
        "label_mismatch label_noise not_learning overfitting validation_differs",
        "training loss falls, validation at chance or worse from the start",
        P(train, bug="labels shuffled", epochs=20),
        seed=11,
    ),
    broken(
        "digits-no-zero-grad",
        "zero_grad is missing",
        "gradients_not_cleared learning_rate_too_high diverging exploding_gradient",
        "loss climbs without end",
        P(train, bug="no zero_grad", opt="sgd", lr=0.05),
        config={"lr": 0.05, "epochs": 15},
        seed=12,
    ),
    broken(
        "digits-softmax-twice",
        "softmax before cross_entropy",
        "wrong_scale",
        "accuracy is high but the loss floors near 1.5",
        P(train, bug="softmax"),
        seed=13,
    ),
    broken(
        "digits-64-rows",
        "only 64 rows left in training",
        "overfitting",
        "training loss 0, validation loss rises",
        P(train, bug="64 rows", epochs=150),
        seed=17,
    ),
    broken(
        "digits-val-unnormalised",
        "validation rows are not normalised",
        "validation_differs wrong_scale overfitting",
        "validation loss is huge while training loss is small",
        P(train, bug="val unnormalised"),
        seed=18,
    ),
    broken(
        "digits-val-logged-train",
        "the training loss is logged as val_loss",
        "validation_is_training",
        "both are the same number",
        P(train, bug="val is logged train"),
        seed=19,
    ),
    broken(
        "digits-other-model",
        "the optimizer holds another model",
        "weights_never_move not_learning learning_rate_zero learning_rate_too_low",
        "validation is the same number in every epoch",
        P(train, bug="other model"),
        seed=20,
    ),
    broken(
        "digits-reloaded",
        "initial weights are loaded at each epoch",
        "weights_reset not_learning",
        "nothing changes between epochs",
        P(train, bug="reloaded"),
        seed=21,
    ),
    broken(
        "digits-val-labels-off",
        "validation labels are off by one",
        "label_mismatch validation_differs",
        "training is fine, validation accuracy is far under chance",
        P(train, bug="labels off by one in val"),
        seed=22,
    ),
    broken(
        "digits-val-train-mode",
        "dropout stays on in validation",
        "validation_differs",
        "",
        P(train, bug="val in train mode", drop=0.3),
        visible=False,
        seed=24,
    ),
    healthy("digits-plain", "nothing awkward", P(train), seed=31),
    healthy(
        "digits-smoothing-dropout",
        "label smoothing and heavy dropout keep training worse than validation",
        P(train, smooth=0.1, drop=0.5, epochs=25, names=("loss", "val/loss", "val/acc")),
        seed=32,
    ),
    healthy(
        "digits-tiny-val",
        "40 validation rows: noisy",
        P(train, n_val=40, names=("train/loss", "eval_loss", "acc"), noise=1.6),
        seed=33,
    ),
    healthy(
        "digits-imbalanced",
        "90 % are one class; balanced accuracy is good",
        P(
            train,
            classes=4,
            weights=(0.9, 0.05, 0.03, 0.02),
            n=3000,
            noise=1.6,
            names=("train_loss", "val_loss", "balanced_acc"),
            balanced=True,
        ),
        seed=34,
    ),
    healthy(
        "digits-early-stop",
        "early stopping breaks the loop long before the declared epochs",
        P(train, epochs=100, patience=4, noise=1.8, drop=0.3),
        config={"lr": 1e-3, "epochs": 100, "patience": 4},
        seed=35,
    ),
    healthy(
        "digits-finetune",
        "starts from good weights; hardly improves",
        P(train, warm=8, lr=2e-5, epochs=5, drop=0.2),
        config={"lr": 2e-5, "epochs": 5, "finetune_from": "digits-v1"},
        seed=36,
    ),
    healthy(
        "digits-20-classes",
        "a hard task: a third right of 20 classes, but far over chance",
        P(train, classes=20, noise=2.7, drop=0.4, epochs=12, n=3000, wd=1e-3),
        config={"num_classes": 20, "lr": 1e-3},
        seed=38,
    ),
    healthy(
        "digits-percent-3-epochs",
        "three epochs, accuracy in percent",
        P(train, epochs=3, percent=True, names=("train_loss", "val_loss", "top1")),
        seed=37,
    ),
]
