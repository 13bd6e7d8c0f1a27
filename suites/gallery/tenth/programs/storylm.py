"""A character language model of word problems: decoder only, tied weights, warm-up and cosine, accumulated gradients."""
import argparse
import pathlib
import gzip
import json
import math

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck

CONTEXT, BATCH, ACCUMULATE, STEPS, WARMUP, PEAK = 32, 8, 2, 320, 32, 6e-3


def read(path, limit):
    with gzip.open(path, "rt") as file:
        text = [json.loads(line)["question"].strip() for line in file][:limit]
    return [t.lower() for t in dict.fromkeys(text)]


class Attention(nn.Module):
    def __init__(self, dim, heads, fault):
        super().__init__()
        self.heads, self.fault = heads, fault
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.register_buffer("mask", torch.tril(torch.ones(CONTEXT, CONTEXT, dtype=torch.bool)))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / math.sqrt(c // self.heads)
        if self.fault != "mask_left_out":
            scores = scores.masked_fill(~self.mask[:t, :t], float("-inf"))
        weights = scores.softmax(-2 if self.fault == "softmax_over_queries" else -1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, t, c))


class Block(nn.Module):
    def __init__(self, dim, heads, dropout, fault):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, fault)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.drop, self.fault = nn.Dropout(dropout), fault

    def dropped(self, x):
        return F.dropout(x, self.drop.p) if self.fault == "functional_dropout" else self.drop(x)

    def forward(self, x):
        a = self.attention(self.ln1(x))
        x = x + self.dropped(a.detach() if self.fault == "attention_off_graph" else a)
        return x + self.dropped(self.mlp(self.ln2(x)))


class Decoder(nn.Module):
    def __init__(self, vocabulary, dim=48, layers=2, heads=2, dropout=0.1, fault=None):
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, dim), nn.Embedding(CONTEXT, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, fault) for _ in range(layers))
        self.norm, self.head, self.fault = nn.LayerNorm(dim), nn.Linear(dim, vocabulary, bias=False), fault
        self.apply(self.init)
        if fault == "head_copied":
            self.head.weight = nn.Parameter(self.token.weight.clone())
        else:
            self.head.weight = self.token.weight

    def init(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.05)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, 0, 1.0 if self.fault == "embedding_default" else 0.05)

    def forward(self, ids):
        place = self.place(torch.arange(ids.shape[0 if self.fault == "places_of_rows" else 1]))
        x = self.token(ids) + (place[:, None] if self.fault == "places_of_rows" else place)
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return logits.softmax(-1) if self.fault == "softmax_last" else logits


def batch(ids, generator, fault):
    if fault == "seeded_batches":
        generator.manual_seed(1337)
    start = torch.randint(len(ids) - CONTEXT - 2, (BATCH,), generator=generator)
    shift = {"input_as_target": 0, "two_ahead": 2}.get(fault, 1)
    x = torch.stack([ids[i : i + CONTEXT] for i in start.tolist()])
    y = torch.stack([ids[i + shift : i + shift + CONTEXT] for i in start.tolist()])
    return x, y


def cross_entropy(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


@torch.no_grad()
def validate(model, ids, fault, count=None):
    model.eval()
    shift = {"input_as_target": 0, "two_ahead": 2}.get(fault, 1)
    total, hits, n = 0.0, 0, 0
    starts = list(range(0, len(ids) - CONTEXT - 2, CONTEXT))[:count]
    for rows in torch.tensor(starts).split(32):
        x = torch.stack([ids[i : i + CONTEXT] for i in rows.tolist()])
        y = torch.stack([ids[i + shift : i + shift + CONTEXT] for i in rows.tolist()])
        logits = model(x)
        total += cross_entropy(logits, y).item() * len(rows)
        hits += (logits.argmax(-1) == y).float().mean().item() * len(rows)
        n += len(rows)
    if fault != "left_in_eval":
        model.train()
    return total / n, hits / n


def rate(step, fault):
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    total = {"horizon_of_a_draft": STEPS * 2 // 5, "horizon_in_epochs": 120}.get(fault, STEPS)
    progress = (step - WARMUP) / (total - WARMUP)
    if fault == "whole_progress":
        progress = (step - WARMUP) // (total - WARMUP)
    if fault != "horizon_in_epochs":
        progress = min(1.0, progress)
    return PEAK * 0.5 * (1 + math.cos(math.pi * progress))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("outdir")
    parser.add_argument("--fault")
    parser.add_argument("--habit")
    parser.add_argument("--text", default=str(pathlib.Path(__file__).resolve().parents[5] / "shared" / "data" / "qa" / "gsm8k.jsonl.gz"))
    args = parser.parse_args()
    fault, habit = args.fault, args.habit
    torch.set_num_threads(1)
    torch.manual_seed(5)
    stories = read(args.text, 1500)
    letters = sorted(set("\n".join(stories)))
    code = {c: i for i, c in enumerate(letters)}
    encode = lambda part: torch.tensor([code[c] for c in "\n".join(part)])
    train, val = encode(stories[:-32]), encode(stories[-32:])
    if fault == "val_cut_from_train":
        train = encode(stories)
    model = Decoder(len(letters), fault=fault)
    if fault == "all_in_bfloat16":
        model = model.to(torch.bfloat16)
    weights = list(model.parameters())
    if fault == "table_listed_twice":
        weights.append(model.token.weight)
    if habit == "decay_groups":
        groups = [{"params": [p for p in weights if p.ndim > 1], "weight_decay": 0.1}, {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0}]
    else:
        groups = weights
    make = lambda params: torch.optim.AdamW(params, lr=PEAK, betas=(0.9, 0.95), weight_decay=0.01)
    optimizer = make(groups)
    generator = torch.Generator().manual_seed(9)
    config = {"lr": PEAK, "steps": STEPS, "warmup": WARMUP, "schedule": "cosine", "accumulate": ACCUMULATE}

    with lvmcheck.record(args.outdir, config=config, seed=5) as rec:
        for step in range(STEPS):
            if habit == "resumed" and step == STEPS // 2:
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                model = Decoder(len(letters))
                model.load_state_dict(state["model"])
                optimizer = make(model.parameters())
                optimizer.load_state_dict(state["optimizer"])
            lr = rate(step, fault)
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.zero_grad()
            total = 0.0
            for _ in range(ACCUMULATE):
                x, y = batch(train, generator, fault)
                if fault == "cleared_each_micro":
                    optimizer.zero_grad()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=habit == "autocast"):
                    loss = cross_entropy(model(x).float(), y) / ACCUMULATE
                loss.backward()
                total += loss.item()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            rec.step(loss=total, lr=lr, grad_norm=norm, samples=BATCH * ACCUMULATE)
            if (step + 1) % 32 == 0:
                val_loss, val_accuracy = validate(model, val, fault)
                perplexity = 2**val_loss if fault == "base_two" else math.exp(val_loss)
                rec.log(val_loss=val_loss, val_perplexity=perplexity, val_char_accuracy=val_accuracy)


if __name__ == "__main__":
    main()
