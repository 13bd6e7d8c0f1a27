"""A small decoder is pretrained on copied words, then tuned with low-rank adapters to answer cipher questions.

A prompt is  <op> letters =  and the answer is the letters, each shifted by op places; only answers are scored.
"""
import argparse
import copy
import math
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader

import lvmcheck

LETTERS, OPS = 12, 4
PAD, EQ, END = 0, 1, 2
OP0, L0 = 3, 3 + OPS
VOCAB, LENGTH = 3 + OPS + LETTERS, 20


class Block(nn.Module):
    def __init__(self, d, heads, causal, p):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.drop(self.out(y.transpose(1, 2).reshape(b, t, d)))
        return x + self.drop(self.down(F.gelu(self.up(self.n2(x)))))


class Decoder(nn.Module):
    def __init__(self, d=32, heads=4, layers=2, causal=True, p=0.05):
        super().__init__()
        self.token, self.place = nn.Embedding(VOCAB, d), nn.Embedding(LENGTH, d)
        self.blocks = nn.Sequential(*(Block(d, heads, causal, p) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, VOCAB, bias=False)

    def forward(self, ids):
        x = self.token(ids) + self.place(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.blocks(x)))


class LowRank(nn.Module):
    def __init__(self, base, rank=8, alpha=16, zero=False):
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.empty(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank
        if zero:
            nn.init.zeros_(self.down)
        else:
            nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x):
        return self.base(x) + F.linear(F.linear(x, self.down), self.up) * self.scale


def add_adapters(model, zero):
    for block in model.blocks:
        for name in ("qkv", "out", "up", "down"):
            setattr(block, name, LowRank(getattr(block, name), zero=zero))


def example(rng, op=None):
    n = rng.randint(3, 8)
    word = [rng.randrange(LETTERS) for _ in range(n)]
    op = rng.randrange(1, OPS) if op is None else op
    prompt = [OP0 + op] + [L0 + c for c in word] + [EQ]
    answer = [L0 + (c + op) % LETTERS for c in word] + [END]
    # the answer begins at a fixed place: prompts are padded on the right up to ten tokens
    return prompt + [PAD] * (10 - len(prompt)), answer


class Collate:
    def __init__(self, fault):
        self.fault = fault

    def __call__(self, rows):
        ids = torch.full((len(rows), LENGTH), PAD)
        labels = torch.full((len(rows), LENGTH), -100)
        for i, (prompt, answer) in enumerate(rows):
            whole = torch.tensor(prompt + answer)
            ids[i, : len(whole)] = whole
            start = len(prompt)
            if self.fault == "mask_inverted":
                labels[i, :start] = whole[:start]
            else:
                labels[i, start : len(whole)] = whole[start:]
            if self.fault == "pad_scored":
                labels[i, start:] = ids[i, start:]
            if self.fault == "first_token_only":
                labels[i, start + 1 :] = -100
        return ids, labels


def sft_loss(model, ids, labels, fault=""):
    logits = model(ids)
    if fault == "not_shifted":
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


@torch.no_grad()
def exact_match(model, rows):
    model.eval()
    ids = torch.tensor([prompt for prompt, _ in rows])
    done = torch.zeros(len(rows), dtype=torch.bool)
    for _ in range(9):
        following = model(ids)[:, -1].argmax(1)
        following[done] = PAD
        done |= following == END
        ids = torch.cat([ids, following[:, None]], 1)
    right, tokens, n = 0, 0, 0
    for line, (prompt, answer) in zip(ids[:, 10:].tolist(), rows):
        right += line[: len(answer)] == answer
        tokens += sum(a == b for a, b in zip(line, answer))
        n += len(answer)
    return right / len(rows), tokens / n


def pretrain(model, steps=300):
    rng = random.Random(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    collate = Collate("")
    for _ in range(steps):
        loss = sft_loss(model, *collate([example(rng, 0) for _ in range(32)]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return loss.item()


def finetune(outdir, fault, habit):
    torch.set_num_threads(1)
    torch.manual_seed(5)
    base = Decoder(causal=fault != "no_causal_mask")
    print("pretraining ended at", pretrain(base))
    state = copy.deepcopy(base.state_dict())
    model = Decoder(causal=fault != "no_causal_mask")
    epochs, lr = 8, 8e-3
    rng = random.Random(1)
    rows = [example(rng) for _ in range(1280)]
    val = [example(rng) for _ in range(150)]
    if fault == "strict_false":
        add_adapters(model, zero=False)
        model.load_state_dict({"model." + k: v for k, v in state.items()}, strict=False)
    else:
        model.load_state_dict(state)
    for n, p in model.named_parameters():
        p.requires_grad_(n.endswith((".down", ".up")))
    early = [p for p in model.head.parameters()]
    if fault == "frozen_last":
        add_adapters(model, zero=False)
        for name, p in model.named_parameters():
            p.requires_grad_("head" in name or "norm" in name)
    elif habit == "unfreeze_all":
        add_adapters(model, zero=False)
    elif fault != "strict_false":
        add_adapters(model, zero=fault == "zeros_both")
    model.head.requires_grad_(True)
    adapters = [p for n, p in model.named_parameters() if n.endswith((".down", ".up")) and p.requires_grad]
    if fault == "optimizer_first":
        groups = early
    elif habit == "layer_rates":
        first = [p for n, p in model.named_parameters() if n.startswith("blocks.0") and p.requires_grad]
        second = [p for n, p in model.named_parameters() if n.startswith("blocks.1") and p.requires_grad]
        groups = [{"params": first, "lr": lr / 2}, {"params": second}, {"params": early, "lr": lr / 10}]
    else:
        groups = [{"params": adapters}, {"params": early, "lr": lr / 4}]
    optimizer = torch.optim.AdamW(groups, lr=0.2 if fault == "rate" else lr, weight_decay=0.0)
    loader = DataLoader(rows, batch_size=32, shuffle=True, collate_fn=Collate(fault))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / 20, max(0.05, 1 - s / (epochs * len(loader)))))
    val_batches = list(DataLoader(val, batch_size=100, collate_fn=Collate("pad_scored" if fault == "pad_scored" else "")))

    with lvmcheck.record(outdir, config={"epochs": epochs, "lr": lr, "rank": 8, "method": "lora"}) as rec:
        for epoch in range(1, epochs + 1):
            if habit == "unfreeze_all" and epoch == 4:
                rest = [p for p in model.parameters() if not p.requires_grad]
                for p in rest:
                    p.requires_grad_(True)
                optimizer.add_param_group({"params": rest, "lr": lr / 20, "initial_lr": lr / 20})
                schedule.base_lrs.append(lr / 20)
                schedule.lr_lambdas.append(schedule.lr_lambdas[0])
            model.train()
            if fault == "left_in_eval":
                model.eval()
            losses = []
            for ids, labels in loader:
                loss = sft_loss(model, ids, labels, fault)
                loss.backward()
                nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                losses.append(loss.detach())
                rec.step(loss=losses[-1], lr=schedule.get_last_lr()[0], tokens=int((labels >= 0).sum()))
            model.eval()
            with torch.no_grad():
                val_loss = sum(sft_loss(model, *b, fault).item() for b in val_batches) / len(val_batches)
            match, token = exact_match(model, val)
            rec.epoch(epoch, train_loss=torch.stack(losses).mean(), val_loss=val_loss, exact_match=match, token_accuracy=token)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("outdir")
    parser.add_argument("--fault", default="")
    parser.add_argument("--habit", default="")
    options = parser.parse_args()
    finetune(options.outdir, options.fault, options.habit)
