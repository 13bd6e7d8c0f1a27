"""Causal language models on natural text: gated convolutions and a small transformer, by characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, partial
from pydoc_data import topics
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lvmcheck import Recorder
from suites.gallery.heldout._kit import grad_norm
from suites.gallery.program import Program, broken, healthy

SIGNS = "\n abcdefghijklmnopqrstuvwxyz0123456789.,;:()[]{}'\"=_-+*/<>|`@#%&!?\\^~$"
V, T = len(SIGNS), 48


@cache
def corpus() -> Tensor:
    """Python's own help texts, about 400,000 characters."""
    text = "\n".join(topics.topics[name] for name in sorted(topics.topics)).lower()
    return torch.tensor([SIGNS.index(sign) for sign in text if sign in SIGNS])


def windows(text: Tensor, count: int) -> Tensor:
    """Random pieces of T + 1 characters."""
    start = torch.randint(len(text) - T - 1, (count,))
    return text[start[:, None] + torch.arange(T + 1)]


class GatedConv(nn.Module):
    """Embedding, dilated gated convolutions with residuals, logits; ``causal`` pads on the left only."""

    def __init__(self, width: int = 32, *, causal: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(V, width)
        self.layers = nn.ModuleList(nn.Conv1d(width, 2 * width, 3, dilation=d) for d in (1, 2, 4))
        self.head = nn.Linear(width, V)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x).transpose(1, 2)
        for layer in self.layers:
            reach = 2 * layer.dilation[0]
            pad = (reach, 0) if self.causal else (reach // 2, reach // 2)
            h = h + functional.glu(layer(functional.pad(h, pad)), 1)
        out: Tensor = self.head(h.transpose(1, 2))
        return out


def pretrain(
    rec: Recorder,
    *,
    fault: str = "",
    steps: int = 400,
    batch: int = 16,
    rate: float = 4e-3,
    planned: int | None = None,
    warmup: int = 20,
    every: int = 100,
    text: int = 300_000,
    dropout: float = 0.0,
    weights: dict[str, Tensor] | None = None,
    log: str = "epochs",
    scaler: bool = False,
) -> None:
    """AdamW, linear warm-up, cosine to zero at ``planned`` steps; evaluated every so many steps.

    ``weights`` are where it starts, unless empty, and where it ends.
    """
    train, held = corpus()[:text], corpus()[320_000:360_000]
    net = GatedConv(causal=fault != "padded on both sides")
    if weights:
        net.load_state_dict(weights)
    optimizer = torch.optim.AdamW(net.parameters(), rate, betas=(0.9, 0.98))
    end = planned or steps
    plan = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * min(1.0, s / end))),
    )
    fixed = windows(held, 64)
    scale = 2.0**130 if scaler else 1.0

    def nats(rows: Tensor) -> Tensor:
        shift = 0 if fault == "not shifted" else 1
        x, y = rows[:, :T], rows[:, shift : shift + T].clone()
        scores = functional.dropout(net(x), dropout, net.training)
        if fault == "softmax first":
            scores = scores.softmax(-1)
        if fault == "everything masked" and net.training:
            y[:, : T + 1] = -100
        total = functional.cross_entropy(scores.reshape(-1, V), y.reshape(-1), reduction="sum", ignore_index=-100)
        return total if fault == "summed" and net.training else total / max(1, int((y >= 0).sum()))

    recent = 0.0
    for step in range(1, steps + 1):
        net.train()
        loss = nats(windows(train, batch))
        if fault != "not cleared":
            optimizer.zero_grad()
        loss.backward()
        norm = grad_norm(net.parameters()) * (math.inf if scale > 2.0**127 else 1.0)
        used = optimizer.param_groups[0]["lr"]
        if math.isfinite(norm):
            optimizer.step()
            plan.step()
        scale /= 2.0
        recent += loss.item() / every
        values: dict[str, Any] = {"loss": loss, "samples": batch * T}
        rec.step(**values, **({} if log == "bare" else {"lr": used, "grad_norm": norm}))
        if step % every == 0:
            net.eval()
            with torch.no_grad():
                value = nats(fixed).item()
            if log == "steps":
                rec.evaluation("eval", {"eval_loss": value, "perplexity": math.exp(value)}, about=f"step {step}")
            elif log == "perplexity":
                rec.epoch(step // every, perplexity=math.exp(recent), val_perplexity=math.exp(value))
            else:
                rec.epoch(step // every, **{"train/loss": recent, "eval/loss": value})
            recent = 0.0
    if weights is not None:
        weights.update(net.state_dict())


def fine_tune(rec: Recorder) -> None:
    """Continues from weights that somebody trained before: the first loss is far below ln V."""

    class Nobody:
        def step(self, **_: Any) -> None: ...
        def epoch(self, *_: Any, **__: Any) -> None: ...

    weights: dict[str, Tensor] = {}
    pretrain(Nobody(), steps=500, weights=weights)  # type: ignore[arg-type]
    pretrain(rec, steps=120, every=40, rate=3e-4, weights=weights)


LM = {"vocab_size": V, "context": T, "batch_size": 16, "lr": 4e-3, "steps": 400}
PROGRAMS: Sequence[Program] = (
    healthy(
        "conv_lm", "Warm-up, then a cosine to 0 over the whole run; evaluated every hundred steps.", pretrain, config=LM
    ),
    healthy(
        "conv_lm_one_pass",
        "Steps without epochs, evaluated on the way; nothing is seen twice.",
        partial(pretrain, log="steps", steps=500),
        config=LM,
    ),
    healthy(
        "conv_lm_perplexity",
        "Only perplexities are recorded at the end of an epoch.",
        partial(pretrain, log="perplexity"),
    ),
    healthy(
        "conv_lm_large_batch",
        "24 steps in all.",
        partial(pretrain, batch=128, steps=24, every=8, warmup=4, rate=2e-2),
        config={"vocab_size": V, "batch_size": 128},
    ),
    healthy(
        "conv_lm_fine_tuned",
        "It starts at 1.8 nats from weights that were trained before, and moves in the second digit.",
        fine_tune,
    ),
    healthy(
        "conv_lm_loss_scale",
        "The first steps have an infinite gradient norm and are skipped until the loss scale fits.",
        partial(pretrain, scaler=True, steps=200, every=50),
        config=LM,
    ),
    broken(
        "conv_lm_padded",
        "convolutions are padded on both sides and see what comes next",
        "target_leak",
        "0.06 nats a character on natural text with 70 signs, by a net of 23,000 weights after 300 steps.",
        partial(pretrain, fault="padded on both sides"),
        config=LM,
    ),
    broken(
        "conv_lm_not_shifted",
        "the target is the input, not shifted by one",
        "target_leak",
        "0.003 nats a character on natural text.",
        partial(pretrain, fault="not shifted", log="steps"),
        config=LM,
    ),
    broken(
        "conv_lm_softmax",
        "softmax before cross_entropy",
        "wrong_scale not_learning",
        "The loss stays within a tenth of ln V; with probabilities as logits it cannot pass ln(e + V - 1) - 1.",
        partial(pretrain, fault="softmax first"),
        config=LM,
    ),
    broken(
        "conv_lm_summed",
        "the loss is summed over the batch's characters",
        "wrong_scale",
        "The first loss is 3400 where ln V is 4.2; the training loss is 768 times that of the evaluation.",
        partial(pretrain, fault="summed"),
        config=LM,
    ),
    broken(
        "conv_lm_masked",
        "every target is masked in training",
        "loss_not_computed loss_constant",
        "The training loss and the gradient norm are exactly 0 from the first step.",
        partial(pretrain, fault="everything masked"),
        config=LM,
    ),
    broken(
        "conv_lm_not_cleared",
        "zero_grad is missing",
        "gradients_not_cleared",
        "The gradient norm grows from 1 to 250 without a fall; the loss is a nat behind its twin.",
        partial(pretrain, fault="not cleared"),
        config=LM,
    ),
    broken(
        "conv_lm_schedule_50",
        "the cosine is planned for 50 of 400 steps",
        "schedule_ended_early",
        "The learning rate is 0 from step 50 on and both losses stand still.",
        partial(pretrain, planned=50),
        config=LM,
    ),
    broken(
        "conv_lm_slow",
        "a learning rate of 2e-6 instead of 4e-3",
        "learning_rate_too_low",
        "The loss falls from 4.48 to 4.46 in 400 steps, above ln V, with gradients that are not small.",
        partial(pretrain, rate=2e-6),
        config=LM,
    ),
    broken(
        "conv_lm_fast",
        "a learning rate of 3 instead of 4e-3",
        "learning_rate_too_high",
        "The loss rises to tens of millions in the first epoch; no rate and no norm is recorded.",
        partial(pretrain, rate=3.0, log="bare"),
        config=LM,
    ),
    broken(
        "conv_lm_small_text",
        "8,000 characters for 700 steps",
        "overfitting",
        "The evaluation rises from the second epoch on while training falls far below it.",
        partial(pretrain, text=8000, steps=700),
    ),
)
