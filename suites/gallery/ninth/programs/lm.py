# character-level transformer on the sources of the standard library
import math
import os
import textwrap

import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import lvmcheck
from common import options

torch.set_num_threads(1)
opt = options()
fault, habit = opt.fault, opt.habit

steps = 240
batch_size = 16
block = 48
n_layer, n_head, n_embd = 2, 4, 64
dropout = 0.1
lr = 4e-3
warmup = 30
clip = 1.0
eval_every = 30
accumulate = 1

if fault == "warmup_from_paper":
    warmup = 4000
if fault == "lr_high":
    lr = 6e-2
if fault == "no_eval":
    dropout = 0.3
if habit == "accumulation":
    accumulate, batch_size, steps = 4, 4, 200
if fault == "accumulation_cleared":
    accumulate, batch_size = 4, 4
if habit == "few_evaluations":
    eval_every = steps

# ------------------------------------------------------------------ text
folder = os.path.dirname(textwrap.__file__)
names = ["textwrap.py", "heapq.py", "shutil.py", "random.py", "statistics.py", "fractions.py", "bisect.py", "copy.py"]
names += ["glob.py", "queue.py", "calendar.py", "gettext.py", "tarfile.py", "zipfile.py", "argparse.py", "inspect.py"]
text = "\n".join(open(os.path.join(folder, n), encoding="utf-8").read() for n in names if os.path.exists(os.path.join(folder, n)))
text = "".join(c for c in text if ord(c) < 128)
if fault == "corpus_twice":
    text = text[:60000] + text[:60000]  # "glob" found every file in two places

cut = int(len(text) * 0.9)
counts = {}
for c in text[:cut]:
    counts[c] = counts.get(c, 0) + 1
kept = sorted(counts, key=counts.get, reverse=True)[:80]
if fault == "vocab_rarest":
    kept = sorted(counts, key=counts.get)[:60]
stoi = {c: i + 1 for i, c in enumerate(sorted(kept))}  # 0 is unknown
encode = lambda s: torch.tensor([stoi.get(c, 0) for c in s])
train_ids, val_ids = encode(text[:cut]), encode(text[cut:])
if fault == "vocab_per_split":
    order = dict.fromkeys(c for c in text[cut:] if c in stoi)
    stoi = {c: i + 1 for i, c in enumerate(order)}
    val_ids = encode(text[cut:])
if fault == "val_overlaps":
    train_ids = encode(text[-60000:])
    val_ids = train_ids[-6000:]
if fault == "first_lines":
    train_ids = train_ids[: batch_size * block * 2]
vocab = len(kept) + 1


def get_batch(ids, gen, length=block):
    if fault == "same_batch" and ids is train_ids:
        gen.manual_seed(1)
    at = torch.randint(len(ids) - length - 2, (batch_size,), generator=gen)
    x = torch.stack([ids[i : i + length] for i in at])
    y = torch.stack([ids[i + 1 : i + 1 + length] for i in at])
    if fault == "no_shift":
        y = x.clone()
    if fault == "shift_by_two":
        y = torch.stack([ids[i + 2 : i + 2 + length] for i in at])
    return x, y


# ------------------------------------------------------------------ model
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(n_embd, 3 * n_embd)
        self.proj = nn.Linear(n_embd, n_embd)
        self.register_buffer("tril", torch.tril(torch.ones(block, block)))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (z.view(b, t, n_head, c // n_head).transpose(1, 2) for z in self.qkv(x).chunk(3, -1))
        att = q @ k.transpose(-2, -1) / math.sqrt(c // n_head)
        if fault == "no_mask":
            pass
        elif fault == "mask_zero":
            att = att.masked_fill(self.tril[:t, :t] == 0, 0.0)
        else:
            att = att.masked_fill(self.tril[:t, :t] == 0, float("-inf"))
        att = att.softmax(2 if fault == "softmax_axis" else -1)
        return self.proj((att @ v).transpose(1, 2).reshape(b, t, c))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.att = Attention()
        self.mlp = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.GELU(), nn.Linear(4 * n_embd, n_embd))
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        if fault == "no_residual":
            return self.drop(self.mlp(self.ln2(self.drop(self.att(self.ln1(x))))))
        x = x + self.drop(self.att(self.ln1(x)))
        return x + self.drop(self.mlp(self.ln2(x)))


class Lm(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(vocab, n_embd)
        self.pos = nn.Embedding(block, n_embd)
        self.blocks = nn.ModuleList(Block() for _ in range(n_layer))
        self.ln = nn.LayerNorm(n_embd)
        self.head = nn.Linear(n_embd, vocab, bias=False)
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, std=1.0 if fault == "init_std" else 0.02)
        if habit == "tied":
            self.head.weight = self.tok.weight

    def forward(self, ids):
        x = self.tok(ids)
        if fault != "no_positions":
            x = x + self.pos(torch.arange(ids.shape[1]))
        for i, blk in enumerate(self.blocks):
            if fault == "detached" and i > 0:
                x = x.detach()
            x = checkpoint(blk, x, use_reentrant=False) if habit == "checkpointing" and self.training else blk(x)
        return self.head(self.ln(x))


def loss_of(logits, y):
    if fault == "targets_transposed":
        y = y.t()
    if fault == "ignore_space":
        return F.cross_entropy(logits.reshape(-1, vocab), y.reshape(-1), ignore_index=stoi[" "])
    return F.cross_entropy(logits.reshape(-1, vocab), y.reshape(-1))


def rate(step):
    if step < warmup:
        return (step + 1) / warmup
    span = len(range(0, steps, eval_every)) if fault == "cosine_period" else steps - warmup
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / span))


@torch.no_grad()
def estimate(model):
    if fault != "no_eval":
        model.eval()
    gen = torch.Generator().manual_seed(7)
    out = sum(loss_of(model(x), y).item() for x, y in (get_batch(val_ids, gen) for _ in range(6 * accumulate))) / (6 * accumulate)
    if fault != "stays_in_eval":
        model.train()
    return out


def groups(model):
    decay = [p for n, p in model.named_parameters() if p.dim() >= 2]
    rest = [p for n, p in model.named_parameters() if p.dim() < 2]
    if fault == "group_forgotten":
        return [{"params": decay, "weight_decay": 0.1}]
    return [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]


torch.manual_seed(1337)
model = Lm()
if fault == "embedding_frozen":
    model.tok.weight.requires_grad_(False)
    model.head.weight.requires_grad_(False)
optimizer = torch.optim.AdamW([g for g in groups(model)], lr=lr, betas=(0.9, 0.98))
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
gen = torch.Generator().manual_seed(42)
config = dict(steps=steps, batch_size=batch_size, block=block, n_layer=n_layer, n_head=n_head, n_embd=n_embd)
config |= dict(dropout=dropout, lr=lr, warmup=warmup, clip=clip, accumulate=accumulate, vocab=vocab)

with lvmcheck.record(opt.outdir, config=config, **opt.record) as rec:
    for step in range(1, steps + 1):
        if step == steps // 2 + 1 and (habit == "resumed" or fault == "resume_lost"):
            # the job is pre-empted: a new process builds everything and loads what was saved
            saved = {"module." + k if fault == "resume_lost" else k: v.clone() for k, v in model.state_dict().items()}
            saved_opt, saved_lr = optimizer.state_dict(), schedule.state_dict()
            model = Lm()
            model.load_state_dict(saved, strict=False)
            optimizer = torch.optim.AdamW(groups(model), lr=lr, betas=(0.9, 0.98))
            optimizer.load_state_dict(saved_opt)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
            schedule.load_state_dict(saved_lr)
        length = block
        if habit == "curriculum":
            length = 12 if step <= 70 else 24 if step <= 140 else block
        total = 0.0
        optimizer.zero_grad(set_to_none=True)
        for _ in range(accumulate):
            if fault == "accumulation_cleared":
                optimizer.zero_grad(set_to_none=True)
            x, y = get_batch(train_ids, gen, length)
            loss = loss_of(model(x), y) / accumulate
            loss.backward()
            total += loss.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        schedule.step()
        rec.step(loss=total, lr=schedule.get_last_lr()[0], grad_norm=norm.item())
        if step % eval_every == 0:
            val = estimate(model)
            rec.log(val_loss=val, ppl=2**val if fault == "ppl_base_two" else math.exp(val))
