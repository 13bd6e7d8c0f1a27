"""Sentences of a small grammar and a transformer with tied weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from suites.gallery.silent._kit import BEFORE, Family

VOCAB, LENGTH, WIDTH = 32, 12, 32


def sentences(rows: int, seed: int, used: int = VOCAB) -> Tensor:
    """Each token follows from the one before (three choices out of all)."""
    follows = torch.randint(0, used, (VOCAB, 3), generator=torch.Generator().manual_seed(55))
    g = torch.Generator().manual_seed(seed)
    tokens = [torch.randint(0, used, (rows,), generator=g)]
    for _ in range(LENGTH):
        pick = torch.multinomial(torch.tensor([0.7, 0.2, 0.1]), rows, replacement=True, generator=g)
        tokens.append(follows[tokens[-1], pick])
    return torch.stack(tokens, 1)


class Block(nn.Module):
    """Attention and a perceptron, normalised before."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, h: Tensor, causal: bool) -> Tensor:
        parts = self.qkv(self.one(h)).unflatten(-1, (3, 2, WIDTH // 2)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=causal)
        h = h + self.out(mixed.transpose(1, 2).flatten(2))
        return h + self.down(F.gelu(self.up(self.two(h))))


class Lm(nn.Module):
    """A language model."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        vocab = 80 if variant == "unused_words" else VOCAB + 1
        self.embedding, self.position = nn.Embedding(vocab, WIDTH), nn.Embedding(LENGTH + 1, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, vocab, bias=False)
        if variant not in ("untied", "tie_is_copy"):
            self.head.weight = self.embedding.weight
        if variant == "tie_is_copy":
            self.head.weight = nn.Parameter(self.embedding.weight.clone())  # "tied"

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.embedding(tokens) + self.position(torch.arange(tokens.shape[1]))
        causal = self.variant not in ("no_causal_mask", "masked_words")
        if self.variant == "embedding_detached":
            h = h.detach()
        for block in self.blocks:
            if self.variant == "checkpointing" and self.training:
                h = checkpoint(block, h, causal, use_reentrant=False)
            else:
                h = block(h, causal)
        h = self.norm(h)
        if self.variant == "batch_average":
            h = h - h.mean(0, keepdim=True)
        return self.head(h)


def train(rec: Any, variant: str = "clean") -> Any:
    torch.manual_seed(11)
    used = 20 if variant == "unused_words" else VOCAB
    tokens, held = sentences(768, 1, used), sentences(128, 2, used)
    model = Lm(variant)
    if variant == "head_retied_late":
        optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
        model.head.weight = nn.Parameter(model.head.weight.detach().clone())
    elif variant == "position_frozen":
        model.position.requires_grad_(False)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=6e-3)
    elif variant.startswith("scaler"):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    parts = 4 if variant.startswith("accumulation") else 1
    steps = 88 if parts == 4 else 198 if variant == "masked_words" else 110
    warm = 3000 if variant == "warmup_of_3000" else 15
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warm))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4, enabled=variant.startswith("scaler"))
    rec.watch(model, optimizer, scheduler)

    def loss_of(rows: Tensor) -> Tensor:
        inputs, targets = rows[:, :-1], rows[:, 1:]
        if variant == "targets_not_shifted":
            targets = inputs
        if variant == "targets_one_too_far":
            inputs, targets = rows[:, :-2], rows[:, 2:]
        if variant == "masked_words":
            hidden = torch.rand(inputs.shape) < 0.25
            targets = inputs.masked_fill(~hidden, -100)
            inputs = inputs.masked_fill(hidden, VOCAB)
        output = model(inputs)
        if variant == "nll_without_log":
            return F.nll_loss(output.softmax(-1).flatten(0, 1), targets.flatten())
        if variant == "softmax_over_rows":
            return F.nll_loss(output.log_softmax(0).flatten(0, 1), targets.flatten())
        if variant == "nll_with_log":
            return F.nll_loss(output.log_softmax(-1).flatten(0, 1), targets.flatten())
        if variant == "softmax_before":
            output = output.softmax(-1)
        return F.cross_entropy(output.flatten(0, 1), targets.flatten(), ignore_index=-100)

    history, order = [], torch.randperm(len(tokens))
    for step in range(steps):
        start = step * 32 % len(tokens)
        if start == 0:
            order = torch.randperm(len(tokens))
        rows = tokens[order[start : start + 32]]
        optimizer.zero_grad()
        total = 0.0
        for part in rows.chunk(parts):
            if variant == "accumulation_clears":
                optimizer.zero_grad()
            if variant == "bf16_autocast":
                with torch.autocast("cpu", torch.bfloat16):
                    loss = loss_of(part)
            else:
                loss = loss_of(part)
            if parts > 1 and variant != "accumulation_unscaled":
                loss = loss / parts
            scaler.scale(loss).backward()
            total += float(loss) if variant != "accumulation_unscaled" else float(loss) / parts
        if variant == "scaler_right":
            scaler.unscale_(optimizer)
        if variant.startswith("scaler"):
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if variant == "accumulation":
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        rec.step(loss=total, lr=scheduler.get_last_lr()[0])
        if step % 22 == 21:
            model.eval()
            with torch.no_grad():
                val_loss = float(loss_of(held))
                guess = model(held[:, :-1]).argmax(-1)
                history.append(float((guess == held[:, 1:]).float().mean()))
            model.train()
            rec.epoch(step // 22, val_loss=val_loss)
    return SimpleNamespace(
        model=model, optimizer=optimizer, history=history, chance=0.1, held=held, scheduler=scheduler
    )


def build(variant: str) -> Any:
    torch.manual_seed(11)
    rows = sentences(16, 1)
    model = Lm(variant)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    if variant == "head_retied_late":
        model.head.weight = nn.Parameter(model.head.weight.detach().clone())
    targets = rows[:, :-1] if variant == "targets_not_shifted" else rows[:, 1:]
    if variant == "targets_one_too_far":
        rows, targets = rows[:, :-1], rows[:, 2:]

    def loss(output: Tensor, target: Tensor) -> Tensor:
        if variant == "nll_without_log":
            return F.nll_loss(output.softmax(-1).flatten(0, 1), target.flatten())
        if variant == "softmax_over_rows":
            return F.nll_loss(output.log_softmax(0).flatten(0, 1), target.flatten())
        return F.cross_entropy(output.flatten(0, 1), target.flatten())

    return model, (rows[:, :-1], targets), loss, optimizer


family = Family("tokens", train, build)
family.broken("no_causal_mask", "attention without a causal mask", "future_tokens_seen", "step 1", build=True)
family.broken(
    "targets_not_shifted", "targets are the inputs", "targets_are_inputs targets_shifted", "step 1", build=True
)
family.broken("targets_one_too_far", "targets are two positions ahead", "targets_shifted", "step 1", build=True)
family.broken("tie_is_copy", "the output layer gets a clone of the embedding", "ties_broken", "step 1", build=True)
family.broken(
    "head_retied_late",
    "the tied weight is replaced by a copy after the optimizer was made",
    "missing_from_optimizer ties_broken",
    BEFORE,
    build=True,
)
family.broken("embedding_detached", "embeddings are detached", "detached_module", "step 1", build=True)
family.broken("batch_average", "the mean over the rows of the batch is subtracted", "rows_mix", "step 1", build=True)
family.broken(
    "warmup_of_3000", "a warm-up of 3,000 steps in a run of 110", "warmup_too_long update_too_small", "step 110"
)
family.broken("accumulation_unscaled", "four losses summed without / 4", "accumulation_unscaled", "step 1")
family.broken("accumulation_clears", "zero_grad between the parts of a step", "accumulation_lost", "step 1")
family.broken("scaler_clips_scaled", "clipped before unscale_", "clip_before_unscale clip_always", "step 1")
family.broken("nll_without_log", "nll_loss of a softmax", "probabilities_for_log_probabilities", "step 1", build=True)
family.broken("softmax_over_rows", "log_softmax over the batch", "softmax_wrong_axis", "step 1", build=True)
family.broken("softmax_before", "softmax before cross_entropy", "probabilities_for_logits", "step 1")
family.sound("clean", "tied weights", build=True)
family.sound("untied", "an output layer of its own", build=True)
family.sound("accumulation", "four backward passes a step, scaled, clipped")
family.sound("scaler_right", "unscaled, then clipped")
family.sound("bf16_autocast", "half precision in the forward pass")
family.sound("checkpointing", "blocks run twice")
family.sound("unused_words", "most rows of the embedding never occur")
family.sound("masked_words", "no causal mask, as a masked language model has none")
family.sound("nll_with_log", "log_softmax and nll_loss", build=False)
family.sound("position_frozen", "positions frozen before the optimizer was made, on purpose", build=False)
PROGRAMS = family.programs
