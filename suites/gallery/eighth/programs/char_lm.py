"""A small character transformer over Python's own library. Steps only."""

import math
import os

import lvmcheck
import torch
import torch.nn.functional as F
from common import options
from torch import nn
from torch.utils.checkpoint import checkpoint

o = options()
torch.manual_seed(1337)

# ------------------------------------------------------------------------------------------------------------- settings
d_model, n_head, n_layer, block = 64, 4, 2, 40
batch_size, max_steps, eval_every, eval_batches = 8, 180, 30, 4
peak_lr, warmup = 4e-3, 20
if o.fault == "warmup_of_big_model":
    warmup = 4000
grad_accum = 2 if o.habit == "checkpointing" else 1

folder = os.path.dirname(os.__file__)
names = ["argparse.py", "ast.py", "calendar.py", "cmd.py", "copy.py", "csv.py", "datetime.py", "difflib.py"]
texts = [open(os.path.join(folder, name), encoding="utf-8").read() for name in names]
text = "".join(c if ord(c) < 128 else "?" for c in "\n".join(texts))
chars = sorted(set(text))
index = {c: i for i, c in enumerate(chars)}
data = torch.tensor([index[c] for c in text])
cut = int(0.9 * len(data))
splits = {"trn": data[:cut], "val": data[cut:]}


def get_batch(split, length=block):
    if o.fault == "seed_in_get_batch" and split == "trn":
        torch.manual_seed(1337)  # "reproducible batches"
    d = splits[split]
    starts = torch.randint(len(d) - length - 2, (batch_size // grad_accum if split == "trn" else batch_size,))
    x = torch.stack([d[s : s + length] for s in starts])
    y = torch.stack([d[s + 1 : s + 1 + length] for s in starts])
    return x, y


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.register_buffer("mask", torch.tril(torch.ones(block, block)).bool())

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (a.view(B, T, n_head, C // n_head).transpose(1, 2) for a in self.qkv(x).split(C, dim=2))
        att = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
        if o.fault != "no_causal_mask":
            att = att.masked_fill(~self.mask[:T, :T], -1e9)
        att = att.softmax(dim=-2 if o.fault == "softmax_over_queries" else -1)
        return self.proj((att @ v).transpose(1, 2).reshape(B, T, C))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2, self.attn = nn.LayerNorm(d_model), nn.LayerNorm(d_model), Attention()
        self.mlp = nn.Sequential(nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model))

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class CharLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(len(chars), d_model), nn.Embedding(block, d_model)
        self.layers = nn.ModuleList(Layer() for _ in range(n_layer))
        self.ln, self.head = nn.LayerNorm(d_model), nn.Linear(d_model, len(chars), bias=False)
        std = 1.0 if o.fault == "init_std_one" else 0.02
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, std=std)
        if o.habit == "tied_weights":
            self.head.weight = self.tok.weight

    def forward(self, x):
        pos = self.pos(torch.arange(x.size(1)))
        h = self.tok(x)
        if o.fault != "position_unused":
            h = h + pos
        for layer in self.layers:
            h = checkpoint(layer, h, use_reentrant=False) if o.habit == "checkpointing" else layer(h)
        return self.head(self.ln(h))


def lm_loss(logits, y):
    if o.fault == "shifted_twice":  # get_batch has shifted already
        logits, y = logits[:, :-1], y[:, 1:]
    return F.cross_entropy(logits.reshape(-1, len(chars)), y.reshape(-1))


def lr_at(step):
    if step < warmup:
        return peak_lr * (step + 1) / warmup
    return peak_lr * (0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / (max_steps - warmup))))


model = CharLM()
opt = torch.optim.AdamW(model.parameters(), lr=peak_lr, betas=(0.9, 0.98), weight_decay=0.01)
ema = [p.detach().clone() for p in model.parameters()] if o.habit == "ema_validation" else None


@torch.no_grad()
def validate():
    model.eval()
    if ema is not None:
        kept = [p.clone() for p in model.parameters()]
        for p, e in zip(model.parameters(), ema):
            p.copy_(e)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    loss = sum(lm_loss(model(x), y).item() for x, y in (get_batch("val") for _ in range(eval_batches))) / eval_batches
    torch.set_rng_state(state)
    if ema is not None:
        for p, k in zip(model.parameters(), kept):
            p.copy_(k)
    model.train()
    return loss


with lvmcheck.record(o.out, config={"max_steps": max_steps, "peak_lr": peak_lr, "d_model": d_model}, **o.record) as rec:
    running = 0.0
    for step in range(max_steps):
        for group in opt.param_groups:
            group["lr"] = lr_at(step)
        length = block
        if o.habit == "growing_context":
            length = 12 if step < 50 else 24 if step < 100 else block
        opt.zero_grad()
        total = 0.0
        for _ in range(grad_accum):
            x, y = get_batch("trn", length)
            loss = lm_loss(model(x), y) / grad_accum
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if ema is not None:
            decay = min(0.98, (step + 1) / (step + 10))
            for p, e in zip(model.parameters(), ema):
                e.lerp_(p.detach(), 1 - decay)
        rec.step(loss=total)
        running += total
        if (step + 1) % eval_every == 0:
            ce = validate()
            rec.log({"trn/ce": running / eval_every, "val/ce": ce, "val/ppl": math.exp(min(ce, 20))})
            print(f"{step + 1} trn/ce {running / eval_every:.3f} val/ce {ce:.3f} ppl {math.exp(min(ce, 20)):.2f}")
            running = 0.0
