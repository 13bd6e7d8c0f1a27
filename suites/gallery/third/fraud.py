"""One fraud in thirty: a logistic network with plain SGD or Adagrad, precision and recall."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def payments(n: int, seed: int, gap: float) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    y = (torch.rand(n, generator=g) < 0.033).float()
    way = torch.randn(12, generator=torch.Generator().manual_seed(70))
    x = torch.randn(n, 12, generator=g) + gap * y[:, None] * way / way.norm()
    return x, y


def auc(score: torch.Tensor, y: torch.Tensor) -> float:
    return (score[y == 1][:, None] > score[y == 0][None]).float().mean().item()


def train(
    rec: Recorder,
    *,
    epochs: int = 10,
    lr: float = 0.05,
    gap: float = 3.0,
    n: int = 4000,
    n_val: int = 1500,
    pos_weight: float = 1.0,
    optimizer: str = "adagrad",
    style: str = "auc",
    focal: bool = False,
    bug: str = "",
) -> None:
    x, y = payments(n, 1, gap)
    xv, yv = payments(n_val, 2, gap)
    if bug == "shuffle_y":
        y = y[torch.randperm(n)]
    if bug == "inverted":
        y = 1 - y
    if bug == "no_positives":
        y = torch.zeros_like(y)
    net = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 1))
    make = {"adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]
    opt = make(net.parameters(), lr=lr)
    w = torch.tensor(pos_weight)

    def objective(out: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if bug == "two_sigmoids":
            out = out.sigmoid()
        if focal:
            p = torch.where(t == 1, out.sigmoid(), 1 - out.sigmoid()).clamp(min=1e-6)
            return (-((1 - p) ** 2) * p.log()).mean()
        if bug == "log_zero":
            p = (out * 40).sigmoid()
            return -(t * p.log() + (1 - t) * (1 - p).log()).mean()
        return F.binary_cross_entropy_with_logits(out, t, pos_weight=w)

    for epoch in range(1, epochs + 1):
        losses = []
        for k in torch.randperm(n).split(100):
            loss = objective(net(x[k])[:, 0], y[k])
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
            if style == "steps":
                rec.step(loss=loss)
        with torch.no_grad():
            s = net(xv)[:, 0]
            val = objective(s, yv).item()
            pred = (s > 0).float()
            hit = (pred * yv).sum().item()
            precision, recall = hit / max(1.0, pred.sum().item()), hit / yv.sum().item()
            area, acc = auc(s, yv), (pred == yv).float().mean().item()
        tl = sum(losses) / len(losses)
        if style == "auc":
            rec.epoch(epoch, train_loss=tl, val_loss=val, val_auc=area, val_recall=recall, val_precision=precision)
        elif style == "acc":
            rec.epoch(epoch, train_loss=tl, val_loss=val, val_accuracy=acc)
        elif style == "f1":
            rec.epoch(epoch, logloss=tl, f1=2 * precision * recall / max(1e-9, precision + recall), accuracy=acc)
        elif style == "steps":
            rec.epoch(epoch, roc_auc=area)


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "fraud_shuffled",
        "labels permuted",
        "label_mismatch label_noise not_learning class_imbalance metric_constant",
        "the area stays at one half",
        p(bug="shuffle_y"),
        seed=1,
    ),
    broken(
        "fraud_inverted",
        "training labels inverted",
        "label_mismatch validation_differs loss_sign overfitting",
        "area below one half, validation loss rises",
        p(bug="inverted"),
        seed=2,
    ),
    broken(
        "fraud_no_positives",
        "a filter drops the positives' labels",
        "label_mismatch class_imbalance validation_differs metric_constant overfitting",
        "training loss goes to 0, recall is 0",
        p(bug="no_positives", optimizer="adam", lr=3e-3),
        seed=3,
    ),
    broken(
        "fraud_sgd_slow",
        "rate 1e-5 for SGD",
        "learning_rate_too_low not_learning class_imbalance weights_never_move",
        "the loss creeps, the area hardly moves",
        p(optimizer="sgd", lr=1e-5, style="auc"),
        seed=4,
    ),
    broken(
        "fraud_two_sigmoids",
        "sigmoid before the loss with logits",
        "wrong_scale not_learning metric_constant vanishing_gradient class_imbalance loss_not_computed",
        "the loss stops at ln 2 although one in thirty is positive",
        p(bug="two_sigmoids", style="acc", optimizer="adam", lr=5e-3),
        seed=5,
    ),
    broken(
        "fraud_log_of_zero",
        "the logarithm of a probability that is 0",
        "numeric_range exploding_gradient",
        "nan at once",
        p(bug="log_zero", style="steps", optimizer="adam", lr=2e-2),
        seed=6,
    ),
    healthy("fraud_plain", "recall 0 for a while", p(optimizer="adam", lr=1e-3), seed=20),
    healthy("fraud_accuracy", "accuracy at 97% from the start", p(style="acc"), seed=21),
    healthy("fraud_weighted", "positives weigh 20: losses in other units", p(pos_weight=20.0, style="f1"), seed=22),
    healthy("fraud_focal", "a focal loss: values of hundredths", p(focal=True, optimizer="adam", lr=3e-3), seed=23),
    healthy(
        "fraud_few_positives",
        "eleven positives in validation",
        p(n_val=330, optimizer="adam", lr=3e-3, style="auc", gap=2.5),
        seed=24,
    ),
    healthy("fraud_steps", "losses of batches without a positive", p(style="steps"), seed=25),
]
