"""A tiny character transformer on the source text of Python's own library. Steps only, validation every 40."""
import inspect
import json.decoder
import math
import textwrap

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(7)

text = (inspect.getsource(textwrap) + inspect.getsource(inspect)[:60000] + inspect.getsource(json.decoder))
chars = sorted(set(text))
ids = torch.tensor([chars.index(c) for c in text])
split = int(len(ids) * 0.9)
train_ids, val_ids = ids[:split], ids[split:]
if o.fault == "val_inside_train":
    train_ids, val_ids = ids[:3500], ids[1000:3500]
T, B, D, V = 24, 20, 40, len(chars)
STEPS = 400 if o.fault == "val_inside_train" else 240


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.mlp = nn.Sequential(nn.Linear(D, 3 * D), nn.GELU(), nn.Linear(3 * D, D))

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (z.view(b, t, 4, D // 4).transpose(1, 2) for z in self.qkv(self.n1(x)).chunk(3, -1))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=o.fault != "no_causal_mask")
        x = x + self.out(a.transpose(1, 2).reshape(b, t, D))
        return x + self.mlp(self.n2(x))


class LM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, D), nn.Embedding(T, D)
        nn.init.normal_(self.tok.weight, std=0.05)
        nn.init.normal_(self.pos.weight, std=0.05)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, V, bias=False)
        if o.habit == "tied":
            self.head.weight = self.tok.weight

    def forward(self, i):
        x = self.tok(i) + self.pos(torch.arange(i.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def batch(source):
    if o.fault == "reseeded_batches" and source is train_ids:
        torch.manual_seed(1337)
    start = torch.randint(0, len(source) - T - 1, (B,))
    x = torch.stack([source[s:s + T] for s in start])
    y = torch.stack([source[s + 1:s + T + 1] for s in start])
    if o.fault == "targets_not_shifted":
        y = x
    return x, y


@torch.no_grad()
def validate(model):
    model.eval()
    losses = []
    for s in range(0, min(len(val_ids) - T - 1, 96 * T), 16 * T):
        rows = [val_ids[k:k + T + 1] for k in range(s, s + 16 * T, T) if k + T + 1 <= len(val_ids)]
        if rows:
            z = torch.stack(rows)
            x, y = z[:, :-1], z[:, 1:]
            if o.fault == "targets_not_shifted":
                y = x
            losses.append(F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item())
    model.train()
    return sum(losses) / len(losses)


model = LM()
lr = 6e-2 if o.fault == "lr_too_high" else 3e-3
opt = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
warm = 120 if o.habit == "long_warmup" else 10


def factor(step):
    return min(1.0, (step + 1) / warm) * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1, step / STEPS))))


def train_step():
    x, y = batch(train_ids)
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    opt.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    return loss, norm


if o.habit == "resumed":  # the first half was trained yesterday
    for _ in range(180):
        train_step()
sched = torch.optim.lr_scheduler.LambdaLR(opt, factor)
with lvmcheck.record(o.out, config={"lr": lr, "steps": STEPS, "context": T, "vocabulary": V}) as rec:
    if o.watch:
        rec.watch(model, opt, sched)
    for step in range(1, STEPS + 1):
        loss, norm = train_step()
        rec.step(loss=loss, grad_norm=norm, lr=sched.get_last_lr()[0])
        sched.step()
        if step % 40 == 0:
            nll = validate(model)
            rec.log(val_nll=nll, val_ppl=math.exp(nll))
