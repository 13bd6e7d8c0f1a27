"""Tags of words in sentences: a recurrent tagger with padding, a common tag O and a rare one."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def sentences(n: int, seed: int, rare: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Tag 0 is O (about 70%), tag 1 follows a trigger, tag 2 is a word of a list after another, tag 3 is rare."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(1, 60, (n, 14), generator=g)
    x = torch.where(torch.rand(n, 14, generator=g) < rare, torch.tensor(59), x)
    y = torch.zeros_like(x)
    y[:, 1:] = torch.where(x[:, :-1] < 10, 1, 0)
    y[:, 1:] = torch.where((x[:, 1:] > 40) & (x[:, :-1] > 30) & (y[:, 1:] == 0), 2, y[:, 1:])
    y = torch.where(x == 59, 3, y)
    length = torch.randint(5, 15, (n,), generator=g)
    pad = torch.arange(14)[None] >= length[:, None]
    return x.masked_fill(pad, 0), y.masked_fill(pad, -100)


def f1(pred: torch.Tensor, y: torch.Tensor, tag: int) -> float:
    hit = ((pred == tag) & (y == tag)).sum().item()
    return 2 * hit / max(1, ((pred == tag) & (y >= 0)).sum().item() + (y == tag).sum().item())


class Tagger(nn.Module):
    def __init__(self, drop: float) -> None:
        super().__init__()
        self.embed, self.rnn = nn.Embedding(60, 24, padding_idx=0), nn.GRU(24, 24, batch_first=True, bidirectional=True)
        self.head, self.drop = nn.Linear(48, 4), nn.Dropout(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.rnn(self.drop(self.embed(x)))[0]))


def train(
    rec: Recorder,
    *,
    epochs: int = 10,
    lr: float = 5e-3,
    n: int = 800,
    rare: float = 0.0,
    drop: float = 0.0,
    style: str = "f1",
    weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
    n_val: int = 200,
    noise: float = 0.0,
    bug: str = "",
) -> None:
    x, y = sentences(n, 1, rare)
    xv, yv = sentences(n_val, 2, rare)
    if noise:
        y = torch.where((torch.rand(y.shape) < noise) & (y >= 0), torch.randint(0, 4, y.shape), y)
        yv = torch.where((torch.rand(yv.shape) < noise) & (yv >= 0), torch.randint(0, 4, yv.shape), yv)
    if bug == "vocabulary":  # the table of word numbers was built anew for validation
        xv = torch.where(xv > 0, torch.cat([torch.zeros(1, dtype=torch.long), torch.randperm(59) + 1])[xv], xv)
    if bug == "reversed":
        x = x.flip(1)
    if bug == "all_o":
        weights = (50.0, 0.02, 0.02, 0.02)
    if bug == "pad_is_tag":
        y = y.clamp(min=0)
        yv = yv.clamp(min=0)
    model = Tagger(drop)
    opt = torch.optim.Adam(model.parameters(), lr=lr)
    w = torch.tensor(weights)
    best_state = None
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for k in torch.randperm(n).split(40):
            loss = F.cross_entropy(model(x[k]).transpose(1, 2), y[k], weight=w)
            if bug == "sum":
                loss = loss * 1e-6
            opt.zero_grad()
            loss.backward()
            if bug == "zero_after":
                opt.zero_grad()
            opt.step()
            total += loss.item() * len(k)
            if style == "steps":
                rec.step(
                    loss=loss,
                    token_acc=0.0 if bug == "metric0" else (model(x[k]).argmax(-1) == y[k])[y[k] >= 0].float().mean(),
                )
        if bug == "restore":
            best_state = best_state or {a: b.clone() for a, b in model.state_dict().items()}
            model.load_state_dict(best_state)
        model.eval()
        with torch.no_grad():
            out = model(xv)
            val = F.cross_entropy(out.transpose(1, 2), yv).item()
            pred = out.argmax(-1)
            acc = (pred == yv)[yv >= 0].float().mean().item()
            scores = [f1(pred, yv, t) for t in (1, 2, 3)]
            if bug == "f1_prob":
                scores = [f1(out.softmax(-1)[..., 0].long(), yv, t) for t in (1, 2, 3)]
        if style == "f1":
            rec.epoch(epoch, train_loss=total / n, dev_loss=val, dev_acc=acc, dev_f1=sum(scores) / 3)
        elif style == "tags":
            rec.epoch(epoch, loss=total / n, **{"f1/PER": scores[0], "f1/LOC": scores[1], "f1/RARE": scores[2]})
        elif style == "losses":
            rec.epoch(epoch, train_loss=total / n, val_loss=val)
        elif style == "o_baseline":
            rec.epoch(
                epoch, train_loss=total / n, val_acc=acc, majority_acc=(yv == 0).sum().item() / (yv >= 0).sum().item()
            )
        else:
            rec.epoch(epoch, dev_loss=val, dev_acc=acc)


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "tagger_vocabulary",
        "validation words are numbered anew",
        "validation_differs label_mismatch overfitting",
        "validation loss rises from the start",
        p(bug="vocabulary"),
        seed=1,
    ),
    broken(
        "tagger_reversed",
        "training sentences are reversed, tags are not",
        "label_mismatch validation_differs overfitting label_noise not_learning",
        "training hardly learns, validation never beats the majority",
        p(bug="reversed", style="f1", epochs=14),
        seed=2,
    ),
    broken(
        "tagger_all_o",
        "class weights upside down",
        "class_imbalance metric_constant validation_differs overfitting",
        "f1 0 for ever, accuracy at the share of O",
        p(bug="all_o"),
        seed=3,
    ),
    broken(
        "tagger_zero_after",
        "zero_grad between backward and step",
        "weights_never_move not_learning vanishing_gradient learning_rate_zero"
        " loss_constant learning_rate_too_low metric_constant",
        "nothing moves at all",
        p(bug="zero_after"),
        seed=4,
    ),
    broken(
        "tagger_restored",
        "the first epoch's weights are loaded back after each",
        "weights_reset metric_constant validation_differs",
        "validation figures do not move while the training loss is the second epoch's again and again",
        p(bug="restore"),
        seed=5,
    ),
    broken(
        "tagger_f1_of_probability",
        "f1 of probabilities rounded down",
        "metric_constant",
        "loss and accuracy improve, f1 is 0",
        p(bug="f1_prob"),
        seed=6,
    ),
    broken(
        "tagger_lr_5",
        "rate 5 for Adam",
        "learning_rate_too_high diverging exploding_gradient not_learning",
        "the loss is above that of the first step throughout",
        p(lr=5.0, style="losses"),
        seed=7,
    ),
    broken(
        "tagger_metric0",
        "accuracy of steps is a placeholder",
        "metric_constant",
        "token_acc is 0 in each step while dev_acc is 0.9",
        p(bug="metric0", style="steps"),
        seed=8,
    ),
    healthy("tagger_plain", "nothing special", p(), seed=20),
    healthy(
        "tagger_rare",
        "f1 of a rare tag is 0 for the first epochs",
        p(rare=0.003, style="tags", n=600, epochs=24, lr=1.5e-3),
        seed=21,
    ),
    healthy("tagger_dropout", "heavy dropout", p(drop=0.5, style="losses", epochs=12), seed=22),
    healthy(
        "tagger_weights",
        "class weights: the training loss is in other units",
        p(weights=(0.2, 1.0, 2.0, 8.0), style="f1"),
        seed=23,
    ),
    healthy("tagger_baseline", "the majority's share as a line", p(style="o_baseline", epochs=8), seed=24),
    healthy("tagger_steps", "accuracy by steps", p(style="steps", epochs=6), seed=25),
    healthy(
        "tagger_noisy_tags",
        "a fifth of all tags is random, in validation too",
        p(noise=0.2, style="f1", epochs=7, n=1500),
        seed=26,
    ),
]
