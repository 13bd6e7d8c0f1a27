"""A character model of a small language: one layer of attention, only steps recorded."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy

WORDS = ["lo", "mi", "tera", "sun", "kata", "pelo", "rin", "vasu", "dom", "eki"]


def text(n: int, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    out = " ".join(WORDS[k] for k in torch.randint(0, len(WORDS), (n,), generator=g).tolist())
    return torch.tensor([0 if c == " " else ord(c) - 96 for c in out])


class Model(nn.Module):
    def __init__(self, causal: bool, width: int = 32) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(27, width), nn.Parameter(torch.randn(24, width) * 0.1)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.norm, self.head, self.causal = nn.LayerNorm(width), nn.Linear(width, 27), causal

    def forward(self, i: torch.Tensor) -> torch.Tensor:
        e = self.embed(i)
        h = e + 0.5 * e.roll(1 if self.causal else -1, 1) + self.place[: i.shape[1]]
        q, k, v = self.qkv(self.norm(h)).chunk(3, -1)
        h = h + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return self.head(h + self.mlp(h))


def train(
    rec: Recorder,
    *,
    steps: int = 220,
    lr: float = 6e-3,
    warmup: int = 20,
    every: int = 20,
    length: int = 3000,
    style: str = "steps",
    final: float = 0.1,
    start: int = 0,
    bug: str = "",
) -> None:
    data, held = text(length, 1), text(600, 2)
    model = Model(causal=bug != "sees_all")
    opt = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))

    def batch(source: torch.Tensor, n: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
        at = torch.randint(0, len(source) - 25, (n,))
        if bug == "same_batch":
            at = torch.arange(n) * 7
        i = torch.stack([source[a : a + 24] for a in at])
        j = torch.stack([source[a + 1 : a + 25] for a in at])
        return i, (i if bug == "same_token" else j)

    def loss_of(i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        out = model(i)
        if bug == "all_padding":
            j = torch.where(j >= 0, -100, j)
        if bug == "flatten":
            return F.cross_entropy(out.transpose(0, 1).reshape(-1, 27), j.reshape(-1))
        loss = F.cross_entropy(out.reshape(-1, 27), j.reshape(-1))
        return loss.detach() + 0 * out.sum() if bug == "detached" else loss

    for step in range(start + steps):
        total = 60 if bug == "horizon" else start + steps
        f = min(1.0, (step + 1) / warmup) * (
            final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
        )
        if bug == "no_decay_up":
            f = (step + 1) / warmup
        if bug == "horizon" and step > total:
            f = 0.0
        opt.param_groups[0]["lr"] = lr * f
        loss = loss_of(*batch(data))
        opt.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if bug == "reload" and step and step % 60 == 0:
            torch.manual_seed(3)
            model.load_state_dict(Model(True).state_dict())
        if step < start:
            continue
        if style == "steps":
            rec.step(loss=loss, lr=lr * f, grad_norm=norm)
        elif style == "loss":
            rec.step(loss=loss)
        if (step + 1) % every == 0 and style != "loss":
            with torch.no_grad():
                val = sum(loss_of(*batch(held)).item() for _ in range(3)) / 3
            if style == "steps":
                rec.log({"eval/loss": val, "eval/ppl": math.exp(min(val, 50))})
            elif style == "log":
                rec.log({"train/loss": loss.item(), "train/lr": lr * f, "val/bits": val / math.log(2)}, step=step + 1)
            elif style == "ppl":
                rec.log(
                    {"loss": loss.item(), "val_perplexity": math.exp(min(val, 50)), "tokens": (step + 1) * 576},
                    step=step + 1,
                )


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "charlm_sees_all",
        "letters are shifted the wrong way: the next one is seen",
        "target_leak",
        "perplexity goes to 1.0",
        p(bug="sees_all"),
        seed=1,
    ),
    broken(
        "charlm_same_token",
        "targets are not shifted",
        "target_leak loss_not_computed label_mismatch",
        "loss 0 within a hundred steps",
        p(bug="same_token", style="log"),
        seed=2,
    ),
    broken(
        "charlm_flatten",
        "outputs are flattened in another order than the targets",
        "label_mismatch not_learning",
        "stays at the entropy of single letters, as a language of random letters would",
        p(bug="flatten"),
        visible=False,
        seed=3,
    ),
    broken(
        "charlm_detached",
        "the loss is detached",
        "weights_never_move not_learning loss_not_computed vanishing_gradient",
        "gradient norm 0",
        p(bug="detached"),
        seed=4,
    ),
    broken(
        "charlm_horizon",
        "the schedule's horizon is 60 of 300 steps",
        "schedule_ended_early learning_rate_zero schedule_wrong learning_rate_too_low",
        "the rate is 0 from step 60 on",
        p(bug="horizon", steps=300),
        seed=5,
    ),
    broken(
        "charlm_same_batch",
        "the sampler returns the same windows",
        "overfitting data_order validation_differs",
        "training loss 0, validation rises",
        p(bug="same_batch", style="ppl", steps=300),
        visible=True,
        seed=6,
    ),
    broken(
        "charlm_padding",
        "every target is the ignored index",
        "numeric_range loss_not_computed",
        "nan from the first step",
        p(bug="all_padding", style="loss"),
        seed=7,
    ),
    broken(
        "charlm_reload",
        "the first weights are loaded again every 60 steps",
        "weights_reset",
        "the loss jumps up every 60 steps",
        p(bug="reload", steps=300),
        seed=8,
    ),
    broken(
        "charlm_warmup_goes_on",
        "the rate rises linearly for ever",
        "schedule_wrong learning_rate_too_high diverging",
        "the rate is 15 times what it should be",
        p(bug="no_decay_up", steps=300, lr=1.5e-2),
        config={"lr": 1.5e-2, "steps": 300},
        seed=9,
    ),
    healthy("charlm_plain", "nothing special", p(), config={"lr": 6e-3, "steps": 220, "batch_size": 24}, seed=20),
    healthy("charlm_loss_only", "only the loss by steps", p(style="loss", steps=300), seed=21),
    healthy("charlm_to_zero", "cosine to nothing, the end is frozen", p(final=0.0, steps=280), seed=22),
    healthy("charlm_log", "rows without steps or epochs, bits for nats", p(style="log", every=10, steps=300), seed=23),
    healthy("charlm_perplexity", "perplexity and a counter of tokens", p(style="ppl"), seed=24),
    healthy("charlm_resumed", "begins where another left off", p(start=160, steps=200), seed=25),
]
