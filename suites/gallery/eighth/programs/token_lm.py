"""A token language model on Python's own library: warm-up, cosine, gradient accumulation, steps only."""
import argparse
import collections
import math
import pathlib
import re

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import lvmcheck
from common import options


class Config:
    steps = 150
    warmup = 15
    accumulate = 2
    micro_batch = 8
    context = 32
    width = 32
    vocabulary = 300
    lr = 6e-3
    clip = 1.0
    validate_every = 25


def corpus(cfg):
    folder = pathlib.Path(argparse.__file__).parent
    names = ["argparse.py", "ast.py", "calendar.py", "configparser.py", "dataclasses.py", "difflib.py", "inspect.py"]
    words = re.findall(r"[A-Za-z_]+|\d|\n|[ ]+|.", "\n".join((folder / n).read_text() for n in names))
    common = [w for w, _ in collections.Counter(words).most_common(cfg.vocabulary - 1)]
    index = {w: i + 1 for i, w in enumerate(common)}
    return torch.tensor([index.get(w, 0) for w in words])


class Block(nn.Module):
    def __init__(self, width, heads=4, drop=0.1):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(drop))
        self.heads, self.drop = heads, nn.Dropout(drop)

    def forward(self, x, causal=True):
        b, t, w = x.shape
        q, k, v = (z.view(b, t, self.heads, -1).transpose(1, 2) for z in self.qkv(self.n1(x)).chunk(3, -1))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + self.drop(self.out(a.transpose(1, 2).reshape(b, t, w)))
        return x + self.mlp(self.n2(x))


class LM(nn.Module):
    def __init__(self, cfg, o):
        super().__init__()
        self.o = o
        self.tok = nn.Embedding(cfg.vocabulary, cfg.width)
        self.pos = nn.Embedding(cfg.context, cfg.width)
        self.blocks = nn.ModuleList(Block(cfg.width) for _ in range(2))
        self.norm = nn.LayerNorm(cfg.width)
        self.head = nn.Linear(cfg.width, cfg.vocabulary, bias=False)
        nn.init.normal_(self.tok.weight, std=0.02)
        nn.init.normal_(self.pos.weight, std=0.02)
        if o.habit == "tied":
            self.head.weight = self.tok.weight

    def forward(self, ids):
        x = self.tok(ids)
        p = self.pos(torch.arange(ids.shape[1]))
        if self.o.fault != "pos_unused":
            x = x + p
        for block in self.blocks:
            if self.o.habit == "checkpointing" and self.training:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x, causal=self.o.fault != "no_causal_mask")
        return self.head(self.norm(x))


@torch.no_grad()
def validate(model, windows, o):
    model.eval()
    total = 0.0
    for w in windows.split(64):
        out = model(w[:, :-1])
        total += F.cross_entropy(out.flatten(0, 1), w[:, 1:].flatten(), reduction="sum").item()
    if o.fault != "stays_eval":
        model.train()
    return total / windows[:, 1:].numel()


def lr_factor(cfg, o):
    def factor(step):
        if step < cfg.warmup:
            return (step + 1) / cfg.warmup
        t = min(1.0, (step - cfg.warmup) / (cfg.steps - cfg.warmup))
        if o.habit == "warm_restarts":
            t = (3 * t) % 1.0
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * t))
    return factor


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    o, cfg = options(), Config()
    ids = corpus(cfg)
    span = cfg.context + 1
    if o.fault == "window_leak":
        windows = ids.unfold(0, span, 8)
        windows = windows[torch.randperm(len(windows))]
        train, val = windows[128:], windows[:128]
    else:
        cut = int(0.9 * len(ids))
        train, val = ids[:cut].unfold(0, span, 8), ids[cut:].unfold(0, span, span)[:128]
    model = LM(cfg, o)
    optimizer = torch.optim.AdamW(model.parameters(), lr=cfg.lr, betas=(0.9, 0.98), weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_factor(cfg, o))
    settings = {k: v for k, v in vars(Config).items() if not k.startswith("_")}
    with lvmcheck.record(o.out, config=settings, **o.extra) as rec:
        for step in range(1, cfg.steps + 1):
            total = 0.0
            for _ in range(cfg.accumulate):
                if o.fault == "zero_each_micro":
                    optimizer.zero_grad()
                w = train[torch.randint(len(train), (cfg.micro_batch,))]
                out = model(w[:, :-1])
                if o.fault == "target_unshifted":
                    loss = F.cross_entropy(out.flatten(0, 1), w[:, :-1].flatten())
                else:
                    loss = F.cross_entropy(out.flatten(0, 1), w[:, 1:].flatten())
                (loss / cfg.accumulate).backward()
                total += loss.item() / cfg.accumulate
                if o.fault == "sched_per_micro":
                    scheduler.step()
            norm = nn.utils.clip_grad_norm_(model.parameters(), cfg.clip)
            lr = optimizer.param_groups[0]["lr"]
            optimizer.step()
            if o.fault != "sched_per_micro":
                scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            rec.step(loss=total, lr=lr, grad_norm=norm)
            if step % cfg.validate_every == 0:
                nats = validate(model, val, o)
                rec.log(val_loss=nats, val_ppl=math.exp(nats))


if __name__ == "__main__":
    main()
