"""Contrastive pairs of two views, as of pictures and captions, with a temperature."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def views(n: int, seed: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 8, 24, generator=torch.Generator().manual_seed(9))
    z = torch.randn(n, 8, generator=g)
    return tuple(torch.tanh(z @ m * 0.5) + noise * torch.randn(n, 24, generator=g) for m in maps)  # type: ignore


def train(
    rec: Recorder,
    *,
    epochs: int = 12,
    lr: float = 2e-3,
    temperature: float = 0.1,
    noise: float = 0.25,
    n: int = 1200,
    batch: int = 100,
    style: str = "recall",
    kind: str = "nce",
    bug: str = "",
) -> None:
    a, b = views(n, 1, noise)
    av, bv = views(200, 2, noise)
    if bug == "unpaired":
        b = b[torch.randperm(n)]
    if bug == "val_unpaired":
        bv = bv.flip(0)

    def tower() -> nn.Module:
        return nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 16))

    f, g = tower(), tower()
    opt = torch.optim.AdamW([*f.parameters(), *g.parameters()], lr=lr)

    def embed(x: torch.Tensor, net: nn.Module) -> torch.Tensor:
        return F.normalize(net(x), dim=1)

    def nce(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if kind == "align":  # without negatives: variance is kept up by a term
            var = 0.0 if bug == "no_variance" else F.relu(1 - 4 * torch.cat([u, v]).std(0)).mean()
            return (u - v).square().sum(1).mean() + 5 * var
        s = u @ v.T / (50.0 if bug == "temperature" else temperature)
        y = torch.arange(len(u))
        return (F.cross_entropy(s, y) + F.cross_entropy(s.T, y)) / 2

    for epoch in range(1, epochs + 1):
        losses = []
        for k in torch.randperm(n).split(batch):
            u, v = embed(a[k], f), embed(a[k] if bug == "same_view" else b[k], f if bug == "same_view" else g)
            loss = nce(u, v)
            if bug == "max":
                loss = -loss
            opt.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(f.parameters(), 5.0)
            opt.step()
            losses.append(loss.item())
            if style in ("steps", "steps_only"):
                rec.step(loss=loss, grad_norm=norm, temperature=temperature)
        with torch.no_grad():
            u, v = embed(av, f), embed(bv, g)
            s = u @ v.T
            rank = (s > s.diagonal()[:, None]).sum(1)
            r1, r10 = (rank < 1).float().mean().item(), (rank < 10).float().mean().item()
            val = nce(u[:batch], v[:batch]).item()
            uniform = torch.pdist(u).square().mul(-2).exp().mean().log().item()
            std = u.std(0).mean().item()
        tl = sum(losses) / len(losses)
        if style == "recall":
            rec.epoch(epoch, train_loss=tl, val_loss=val, **{"recall@1": r1, "recall@10": r10})
        elif style == "spread":
            rec.epoch(
                epoch, loss=tl, embedding_std=std, uniformity=uniform, alignment=(u - v).square().sum(1).mean().item()
            )
        elif style == "rank":
            rec.epoch(
                epoch, train_loss=tl, val_loss=val, median_rank=rank.float().median().item() + 1, chance_recall=0.005
            )
        elif style == "steps":
            rec.epoch(epoch, val_top1=100 * r1)


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "pairs_unpaired",
        "captions permuted against pictures",
        "label_mismatch not_learning label_noise overfitting",
        "the loss stays at ln 100, recall at chance",
        p(bug="unpaired"),
        config={"batch_size": 100},
        seed=1,
    ),
    broken(
        "pairs_val_unpaired",
        "validation captions in another order",
        "label_mismatch validation_differs",
        "training falls, recall stays at chance",
        p(bug="val_unpaired"),
        seed=2,
    ),
    broken(
        "pairs_temperature_50",
        "temperature 50",
        "wrong_scale not_learning learning_rate_too_low vanishing_gradient",
        "the loss stays at ln 100, yet recall rises",
        p(bug="temperature"),
        config={"temperature": 50, "batch_size": 100},
        seed=3,
    ),
    broken(
        "pairs_collapse",
        "the variance term is missing",
        "collapsed_representation dominant_term",
        "loss 0, the spread of embeddings goes to 0",
        p(bug="no_variance", kind="align", style="spread"),
        seed=6,
    ),
    broken(
        "pairs_same_view",
        "both views are the picture",
        "label_mismatch target_leak validation_differs",
        "training loss 0, recall stays at chance",
        p(bug="same_view"),
        seed=7,
    ),
    broken(
        "pairs_maximised",
        "loss negated",
        "loss_sign diverging",
        "the loss falls far below 0",
        p(bug="max", style="rank"),
        seed=9,
    ),
    healthy("pairs_plain", "nothing special", p(), seed=20),
    healthy("pairs_ranks", "a rank, the lower the better; chance as a line", p(style="rank"), seed=21),
    healthy("pairs_steps", "by steps, a constant temperature", p(style="steps", epochs=8), seed=22),
    healthy("pairs_spread", "variance kept up by a term", p(kind="align", style="spread", epochs=15), seed=23),
    healthy("pairs_hard", "noisy views: recall@1 of 10%", p(noise=0.9, epochs=8, n=2000), seed=24),
    healthy("pairs_steps_only", "nothing but steps", p(style="steps_only", batch=60), seed=25),
]
