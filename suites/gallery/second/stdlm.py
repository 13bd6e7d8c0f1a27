"""A character model of Python's own library: steps and no epochs, an evaluation now and then."""

from __future__ import annotations

import argparse
import math
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from suites.gallery.program import Interrupted, broken, healthy


def corpus():
    text = Path(argparse.__file__).read_text()[:80000].lower()
    ids = {c: i for i, c in enumerate(sorted(set(text)))}
    data = torch.tensor([ids[c] for c in text])
    return data[:70000], data[70000:], len(ids)


class LM(nn.Module):
    def __init__(self, vocabulary, d=48, drop=0.0, kind="gru", both=False):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, d)
        self.kind = kind
        self.drop = nn.Dropout(drop)
        if kind == "gru":
            self.core = nn.GRU(d, 64, batch_first=True, bidirectional=both)
            self.out = nn.Linear(128 if both else 64, vocabulary)
        else:
            self.position = nn.Parameter(0.02 * torch.randn(64, d))
            self.core = nn.TransformerEncoderLayer(d, 4, 2 * d, dropout=drop, batch_first=True, norm_first=True)
            self.out = nn.Linear(d, vocabulary)

    def forward(self, x):
        h = self.embed(x)
        if self.kind == "gru":
            h, _ = self.core(self.drop(h))
        else:
            t = x.shape[1]
            mask = torch.full((t, t), -math.inf).triu(1)
            h = self.core(h + self.position[:t], src_mask=mask)
        return self.out(self.drop(h))


def batch(data, n=16, t=32, fixed=False):
    at = torch.zeros(n, dtype=torch.long) + torch.arange(n) * 40 if fixed else torch.randint(0, len(data) - t - 1, (n,))
    rows = at[:, None] + torch.arange(t + 1)
    block = data[rows]
    return block[:, :-1], block[:, 1:]


def run(
    rec,
    bug="",
    steps=400,
    lr=4e-3,
    kind="gru",
    every=50,
    drop=0.0,
    warmup=0,
    total=None,
    log="step",
    clip=1.0,
    val_batches=4,
    ppl=False,
    start_at=0,
    stop_at=0,
    decay=True,
    log_every=1,
    wd=0.0,
):
    train, val, vocabulary = corpus()
    model = LM(vocabulary, drop=0.95 if bug == "dropout" else drop, kind=kind, both=bug == "bidirectional")
    if bug == "init":
        for p in model.parameters():
            p.data.mul_(20)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=wd)
    total = total or steps

    def factor(i):
        if warmup and i < warmup:
            return (i + 1) / warmup
        return max(0.0, 1 - (i - warmup) / (total - warmup)) if decay else 1.0

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(start_at):  # resumed: the first steps belong to the run before
        x, y = batch(train)
        optimizer.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        optimizer.step()
        schedule.step()
    held = [batch(val, 32) for _ in range(val_batches)]
    for step in range(start_at + 1, steps + 1):
        x, y = batch(train, fixed=bug == "same batch")
        if bug == "no shift":
            y = x
        if bug == "shuffled targets":
            y = y[torch.randperm(len(y))]
        logits = model(x)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        if bug == "nan" and step > 240:
            logits.data[0, 0, 0] = math.inf
            loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        if bug != "no zero_grad":
            optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
        now = schedule.get_last_lr()[0]
        if bug != "no step":
            optimizer.step()
        schedule.step()
        if log == "step":
            rec.step(loss=loss, lr=now, grad_norm=norm)
        elif log == "loss":
            rec.step(loss=loss)
        elif step % log_every == 0:
            rec.log({"train/loss": loss.item(), "train/lr": now}, step=step)
        if step % every == 0:
            if bug != "train mode":
                model.eval()
            with torch.no_grad():
                v = sum(
                    F.cross_entropy(model(a).flatten(0, 1), (a if bug == "no shift" else b).flatten()).item()
                    for a, b in held
                ) / len(held)
            model.train()
            if bug == "val is train":
                v = loss.item()
            rec.log({"val/loss": v, **({"val/ppl": math.exp(min(v, 50))} if ppl else {})}, step=step)
        if stop_at and step == stop_at:
            raise Interrupted


P = partial
CFG = {"lr": 4e-3, "max_steps": 400, "batch_size": 16}
PROGRAMS = [
    broken(
        "stdlm-no-step",
        "optimizer.step is missing",
        "weights_never_move learning_rate_zero not_learning learning_rate_too_low",
        "loss stays at its start, validation is one number",
        P(run, bug="no step", log="loss"),
        seed=101,
    ),
    broken(
        "stdlm-decay-early-no-lr",
        "lr decays to 0 at step 60 of 400, lr not logged",
        "schedule_ended_early schedule_wrong learning_rate_zero learning_rate_too_low weights_never_move",
        "validation is one number after step 60",
        P(run, total=60, log="loss"),
        seed=103,
    ),
    broken(
        "stdlm-no-shift",
        "targets are the inputs",
        "target_leak label_mismatch",
        "a character model at a loss of nearly 0",
        P(run, bug="no shift", ppl=True),
        config=CFG,
        seed=104,
    ),
    broken(
        "stdlm-bidirectional",
        "the GRU reads the future",
        "target_leak",
        "a perplexity of nearly 1",
        P(run, bug="bidirectional", ppl=True, steps=250),
        config={**CFG, "max_steps": 250},
        seed=105,
    ),
    broken(
        "stdlm-dropout",
        "dropout 0.95",
        "not_learning vanishing_gradient learning_rate_too_low",
        "slow, as a hard text would be",
        P(run, bug="dropout", log="log", log_every=10),
        visible=False,
        config=CFG,
        seed=107,
    ),
    broken(
        "stdlm-lr-1000x",
        "lr 4",
        "learning_rate_too_high diverging exploding_gradient",
        "loss far over ln V",
        P(run, lr=4.0, decay=False),
        config={**CFG, "lr": 4.0},
        seed=108,
    ),
    broken(
        "stdlm-init",
        "weights 20 times too large",
        "wrong_scale numeric_range",
        "loss starts far over ln V",
        P(run, bug="init"),
        config=CFG,
        seed=110,
    ),
    broken(
        "stdlm-shuffled",
        "targets of another row",
        "label_mismatch label_noise not_learning",
        "stops early, as a hard text would",
        P(run, bug="shuffled targets", ppl=True),
        visible=False,
        config=CFG,
        seed=111,
    ),
    broken(
        "stdlm-nan",
        "overflow after 240 steps",
        "numeric_range diverging",
        "nan",
        P(run, bug="nan", log="loss"),
        seed=112,
    ),
    broken(
        "stdlm-no-zero-grad",
        "zero_grad is missing",
        "gradients_not_cleared exploding_gradient learning_rate_too_high",
        "the gradient norm grows with the steps, the loss jumps",
        P(run, bug="no zero_grad", clip=1e9),
        visible=True,
        config=CFG,
        seed=114,
    ),
    healthy("stdlm-plain", "steps only, clipped, lr to 0 at the end", P(run), config=CFG, seed=121),
    healthy(
        "stdlm-transformer-warmup",
        "warm-up, dropout, logs every 10 steps, evaluates every 75",
        P(run, kind="tf", warmup=60, drop=0.1, steps=450, lr=3e-3, log="log", log_every=10, every=75),
        config={"lr": 3e-3, "max_steps": 450, "warmup": 60},
        seed=122,
    ),
    healthy(
        "stdlm-resumed",
        "continued after step 250 of an earlier run: falls little",
        P(run, start_at=250, steps=500, total=500, log="step", ppl=True),
        config={"lr": 4e-3, "max_steps": 500, "resumed_from": 250},
        seed=123,
    ),
    healthy(
        "stdlm-loss-only",
        "one validation batch: noisy",
        P(run, log="loss", decay=False, val_batches=1, lr=2e-3, every=25),
        seed=124,
    ),
]
