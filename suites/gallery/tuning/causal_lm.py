"""A tiny transformer that continues text, character by character; the text is Python's own documentation."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache, partial
from pydoc_data.topics import topics

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder
from suites.gallery.program import Program, broken, healthy

CONTEXT = 32
SIGNS = "abcdefghijklmnopqrstuvwxyz .,"


@cache
def text() -> Tensor:
    prose = " ".join(topics[name] for name in sorted(topics)).lower()
    prose = re.sub(r" +", " ", re.sub(r"[^a-z.,]+", " ", prose))
    return torch.tensor([SIGNS.index(sign) for sign in prose[:120_000]])


def windows(stream: Tensor, count: int, draw: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    starts = torch.randint(len(stream) - CONTEXT - 1, (count,), generator=draw)
    rows = stream[starts[:, None] + torch.arange(CONTEXT + 1)]
    return rows[:, :-1], rows[:, 1:]


class Block(nn.Module):
    def __init__(self, width: int, experts: int, causal: bool, dropout: float) -> None:
        super().__init__()
        self.causal, self.experts, self.balance = causal, experts, torch.zeros(())
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(experts)
        )
        self.router = nn.Linear(width, experts) if experts > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        size = (len(x), x.shape[1], 2, x.shape[2] // 2)
        q, k, v = (part.reshape(size).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(mixed))
        inner = self.norm2(x)
        if self.router is None:
            return x + self.dropout(self.mlp[0](inner))  # type: ignore[no-any-return]
        share = self.router(inner).softmax(-1)
        used = F.one_hot(share.argmax(-1), self.experts).float().mean((0, 1))
        self.balance = self.experts * (used * share.mean((0, 1))).sum()
        return x + (torch.stack([expert(inner) for expert in self.mlp], -1) * share[:, :, None]).sum(-1)  # type: ignore[no-any-return]


class Model(nn.Module):
    def __init__(self, width: int = 40, experts: int = 1, causal: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.table, self.places = nn.Embedding(len(SIGNS), width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width, experts, causal, dropout) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, len(SIGNS))

    def forward(self, signs: Tensor) -> Tensor:
        x = self.table(signs) + self.places(torch.arange(signs.shape[1]))
        return self.head(self.norm(self.blocks(x)))  # type: ignore[no-any-return]


def train(
    rec: Recorder,
    *,
    fault: str = "",
    steps: int = 300,
    lr: float = 3e-3,
    batch: int = 16,
    accumulate: int = 1,
    warm_up: int = 0,
    decay_by: int = 0,
    epochs: int = 10,
    every: int = 1,
    experts: int = 1,
    dropout: float = 0.0,
    signs: int = 100_000,
    spike: bool = False,
    perplexity: bool = True,
    log_lr: bool = True,
) -> None:
    """Epochs are stretches of equally many steps; 0 of them: steps are all that is recorded."""
    stream, held = text()[:signs], text()[110_000:]
    held_x, held_y = windows(held, 64, torch.Generator().manual_seed(9))
    model = Model(experts=experts, causal=fault != "no causal mask", dropout=dropout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)

    def share(step: int) -> float:
        if warm_up and step < warm_up:
            return (step + 1) / warm_up
        return max(0.0, 0.5 * (1 + math.cos(math.pi * min(1.0, step / decay_by)))) if decay_by else 1.0

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)

    def cross_entropy(x: Tensor, y: Tensor) -> Tensor:
        if fault == "target not shifted":
            y = x
        logits = model(x)
        if fault == "overflow, and what is not finite counted as 0" and schedule.last_epoch > steps // 3:
            sharp = (40 * logits).exp()
            chosen = (sharp / sharp.sum(-1, keepdim=True)).gather(-1, y[:, :, None])
            return torch.nan_to_num(-chosen.log().mean(), nan=0.0, posinf=0.0)
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())

    for step in range(steps):
        model.train()
        if fault != "gradients never cleared":
            optimizer.zero_grad()
        total, terms = 0.0, None
        for _ in range(accumulate):
            x, y = windows(stream, batch)
            if spike and step == steps // 2:
                x, y = x * 0, y * 0 + 25  # a shard of garbage: one batch of one sign
            loss = cross_entropy(x, y)
            if experts > 1:
                balance = torch.stack([block.balance for block in model.blocks]).mean()
                terms = {"cross_entropy": (1.0, loss.detach()), "balance": (0.02, balance.detach())}
                loss = loss + 0.02 * balance
            part = loss if fault == "accumulated batches summed" else loss / accumulate
            part.backward()
            total += part.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        used = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
        rec.step(loss=total, terms=terms, grad_norm=norm, lr=used if log_lr else None, samples=batch * accumulate)
        if epochs and (step + 1) % (steps // epochs) == 0:
            epoch = (step + 1) // (steps // epochs)
            figures = {}
            if epoch % every == 0:
                model.eval()
                with torch.no_grad():
                    figures["eval_loss"] = cross_entropy(held_x, held_y).item()
                if perplexity:
                    figures["perplexity"] = math.exp(figures["eval_loss"])
            rec.epoch(epoch, **figures)


CONFIG = {"max_steps": 300, "lr": 3e-3, "vocab_size": len(SIGNS)}


PROGRAMS: Sequence[Program] = (
    healthy(
        "text_plain",
        "warm-up, then a cosine to 0",
        partial(train, lr=6e-3, warm_up=20, decay_by=300),
        config={**CONFIG, "lr": 6e-3},
    ),
    healthy("text_steps_only", "no epochs and no evaluation at all", partial(train, epochs=0), config=CONFIG),
    healthy(
        "text_forty_steps",
        "forty steps, a rehearsal: the loss falls from ln 29 to the entropy of single signs and not further",
        partial(train, steps=40, epochs=0, log_lr=False),
        config={"max_steps": 40},
    ),
    healthy(
        "text_every_third",
        "evaluated at every third epoch; dropout; accumulation of two batches",
        partial(train, every=3, epochs=12, dropout=0.1, accumulate=2, batch=8, perplexity=False),
        config={**CONFIG, "accumulation": 2, "eval_every": 3},
    ),
    healthy(
        "text_experts",
        "a balance term of weight 0.02 that stays at its optimum 1 from the start to the end",
        partial(train, experts=3, steps=200),
        config={"max_steps": 200, "experts": 3, "balance_weight": 0.02},
    ),
    healthy(
        "text_spike",
        "one shard of garbage: the loss leaps to several times its value for a step and is back within thirty",
        partial(train, spike=True),
        config=CONFIG,
    ),
    broken(
        "text_no_mask",
        "no causal mask",
        "target_leak",
        "train and evaluation loss fall far below the entropy of any text, to less than a tenth of a nat a sign",
        partial(train, fault="no causal mask", steps=500),
        config={**CONFIG, "max_steps": 500},
    ),
    broken(
        "text_not_shifted",
        "target not shifted",
        "target_leak",
        "the loss is near 0 within the first epochs, perplexity 1: the sign to be predicted is the one that is read",
        partial(train, fault="target not shifted"),
        config=CONFIG,
    ),
    broken(
        "text_gradients_kept",
        "gradients never cleared",
        "gradients_not_cleared",
        "the gradient norm grows by ten and more, and the loss swings around that of single signs",
        partial(train, fault="gradients never cleared"),
        config=CONFIG,
    ),
    broken(
        "text_rate_x100",
        "learning rate times 100",
        "learning_rate_too_high diverging",
        "the loss leaps above ln 29 at once and never gets below the entropy of single signs",
        partial(train, lr=0.3),
        config={**CONFIG, "lr": 0.3},
    ),
    broken(
        "text_twenty_steps_diverge",
        "learning rate times 1000",
        "learning_rate_too_high diverging",
        "twenty steps are enough: the loss climbs to many times ln 29 in the first of them",
        partial(train, lr=3.0, steps=20, epochs=0),
        config={"max_steps": 20, "lr": 3.0, "vocab_size": len(SIGNS)},
    ),
    broken(
        "text_quarter",
        "the schedule ends after a quarter of the steps",
        "schedule_ended_early schedule_wrong",
        "a rate of 0 for three quarters of the run, and an evaluation loss that does not move in them",
        partial(train, warm_up=10, decay_by=75),
        config={**CONFIG, "schedule": "cosine"},
    ),
    broken(
        "text_accumulation_summed",
        "accumulated batches summed",
        "wrong_scale",
        "the train loss is eight times the evaluation loss all the way down",
        partial(train, fault="accumulated batches summed", accumulate=8, batch=4, steps=100),
        config={"max_steps": 100, "lr": 3e-3, "vocab_size": len(SIGNS), "accumulation": 8},
    ),
    broken(
        "text_zero_for_nan",
        "overflow, and what is not finite counted as 0",
        "loss_not_computed numeric_range",
        "from one step to the next the loss is exactly 0.0 and perplexity exactly 1, until the end",
        partial(train, fault="overflow, and what is not finite counted as 0", epochs=12),
        config=CONFIG,
    ),
    broken(
        "text_small",
        "a text of 1,500 signs read again and again",
        "overfitting",
        "the evaluation loss turns and rises far above its best while the train loss goes on falling",
        partial(train, signs=1500, steps=500, epochs=20),
        config={**CONFIG, "max_steps": 500},
    ),
)
