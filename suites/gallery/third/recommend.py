"""Items for users by factors: implicit feedback, pairs of a bought and another item."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy

USERS, ITEMS = 200, 120


def bought(per: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    u, v = torch.randn(USERS, 4, generator=g), torch.randn(ITEMS, 4, generator=g)
    score = u @ v.T + 0.4 * torch.distributions.Gumbel(0, 1).sample((USERS, ITEMS))
    top = score.topk(per + 4, 1).indices
    mixed = top[:, torch.randperm(per + 4)]
    return mixed[:, :per], mixed[:, per:]


def train(
    rec: Recorder,
    *,
    epochs: int = 15,
    lr: float = 1e-2,
    dim: int = 12,
    per: int = 16,
    kind: str = "bpr",
    style: str = "hit",
    decay: float = 1e-4,
    bug: str = "",
) -> None:
    seen, held = bought(per)
    user, item = nn.Embedding(USERS, dim), nn.Embedding(ITEMS, dim)
    for e in (user, item):
        nn.init.normal_(e.weight, std=0.0 if bug == "zero_init" else 0.1)
    opt = torch.optim.Adam([*user.parameters(), *item.parameters()], lr=lr, weight_decay=decay)
    pairs = torch.stack([torch.arange(USERS).repeat_interleave(per), seen.reshape(-1)], 1)
    if bug == "ids":
        pairs[:, 0] = pairs[torch.randperm(len(pairs)), 0]
    for epoch in range(epochs):
        losses = []
        for k in torch.randperm(len(pairs)).split(200):
            u, i = pairs[k].T
            j = torch.randint(0, ITEMS, i.shape)
            if bug == "same_negative":
                j = i
            pos, neg = (user(u) * item(i)).sum(1), (user(u) * item(j)).sum(1)
            if kind == "bpr":
                loss = -F.logsigmoid(neg - pos if bug == "swapped" else pos - neg).mean()
            elif kind == "sum":
                loss = -F.logsigmoid(pos - neg).sum()
            else:
                label = torch.cat(
                    [torch.ones_like(pos), torch.ones_like(neg) if bug == "all_ones" else torch.zeros_like(neg)]
                )
                loss = F.binary_cross_entropy_with_logits(torch.cat([pos, neg]), label)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
            if style == "steps":
                rec.step(loss=loss, lr=lr)
        with torch.no_grad():
            s = user.weight @ item.weight.T
            s.scatter_(1, seen, -1e9)
            wanted = held if bug != "seen_wanted" else seen[:, :4]
            rank = (s[:, None, :] > s.gather(1, wanted)[:, :, None]).sum(-1).float()
            hit, ndcg = (rank < 10).float().mean().item(), ((rank < 10) / (rank + 2).log2()).mean().item()
        tl = sum(losses) / len(losses)
        if style == "hit":
            rec.epoch(epoch, train_loss=tl, **{"val_hit@10": hit, "val_ndcg@10": ndcg})
        elif style == "popular":
            rec.epoch(epoch, bpr_loss=tl, hr10=hit, popularity_hr10=0.17)
        elif style == "steps":
            rec.epoch(epoch, mean_rank=rank.mean().item())
        else:
            rec.epoch(epoch, loss=tl, auc=1 - rank.mean().item() / (ITEMS - per))


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "recommend_swapped",
        "bought and other item are swapped in the loss",
        "loss_sign label_mismatch",
        "the loss falls, ranking gets worse than chance",
        p(bug="swapped", style="auc"),
        seed=1,
    ),
    broken(
        "recommend_same_negative",
        "the other item is the bought one",
        "loss_constant not_learning loss_not_computed label_mismatch weights_never_move vanishing_gradient",
        "the loss is ln 2 to the last digit",
        p(bug="same_negative"),
        seed=2,
    ),
    broken(
        "recommend_zero_init",
        "factors start at zero",
        "weights_never_move not_learning loss_constant vanishing_gradient collapsed_representation metric_constant",
        "the loss is ln 2 to the last digit",
        p(bug="zero_init", style="steps"),
        seed=3,
    ),
    broken(
        "recommend_user_ids",
        "user numbers permuted against items",
        "label_mismatch overfitting not_learning label_noise",
        "ranking stays at chance while the loss falls",
        p(bug="ids"),
        seed=4,
    ),
    broken(
        "recommend_all_ones",
        "others are labelled 1",
        "label_mismatch target_leak collapsed_representation loss_not_computed class_imbalance",
        "the loss goes to 0, ranking stays near that of popularity",
        p(bug="all_ones", kind="bce", style="auc"),
        visible=False,
        seed=5,
    ),
    broken(
        "recommend_seen_masked",
        "the wanted items are the masked ones",
        "metric_constant validation_differs label_mismatch",
        "hits are 0 for ever while the loss falls",
        p(bug="seen_wanted"),
        seed=6,
    ),
    healthy("recommend_plain", "hits rise from a tenth to a third", p(), seed=20),
    healthy("recommend_popular", "a popularity ranking as a line", p(style="popular"), seed=21),
    healthy("recommend_sum", "summed loss", p(kind="sum", style="auc"), seed=22),
    healthy("recommend_rank", "mean rank, the lower the better", p(style="steps"), seed=23),
]
