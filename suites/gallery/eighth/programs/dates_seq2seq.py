"""Dates as people write them to ISO dates: GRU encoder, attention, GRU decoder."""

import math
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

import lvmcheck
from common import options

o = options()
PAD, BOS, EOS = 0, 1, 2
MONTHS = "january february march april may june july august september october november december".split()
LETTERS = {c: i + 3 for i, c in enumerate("abcdefghijklmnopqrstuvwxyz0123456789 ,./-")}
BACK = {i: c for c, i in LETTERS.items()}


def pair(rng):
    y, m, d = rng.randint(1950, 2049), rng.randint(1, 12), rng.randint(1, 28)
    name = MONTHS[m - 1]
    form = rng.randrange(6)
    if form == 0:
        s = f"{d} {name} {y}"
    elif form == 1:
        s = f"{name[:3]} {d}, {y}"
    elif form == 2:
        s = f"{d}/{m}/{y}"
    elif form == 3:
        s = f"{name} {d} {y}"
    elif form == 4:
        s = f"{d:02d}.{m:02d}.{y}"
    else:
        s = f"{d} {name[:3]} {y}"
    if rng.random() < 0.1:  # a slip of the finger
        k = rng.randrange(len(s))
        if s[k].isalpha():
            s = s[:k] + rng.choice("abcdefghijklmnopqrstuvwxyz") + s[k + 1 :]
    return s, f"{y}{m:02d}{d:02d}"


def tensors(pairs):
    src = nn.utils.rnn.pad_sequence([torch.tensor([LETTERS[c] for c in s]) for s, _ in pairs], batch_first=True)
    end = [] if o.fault == "no_end_token" else [EOS]
    tgt = nn.utils.rnn.pad_sequence(
        [torch.tensor([BOS] + [LETTERS[c] for c in t] + end) for _, t in pairs], batch_first=True
    )
    return src, tgt


class Encoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.embed = nn.Embedding(len(LETTERS) + 3, d, padding_idx=PAD)
        self.rnn = nn.GRU(d, d, batch_first=True, bidirectional=True)
        self.join = nn.Linear(2 * d, d)

    def forward(self, src):
        return self.join(self.rnn(self.embed(src))[0])


class Decoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.embed = nn.Embedding(len(LETTERS) + 3, d, padding_idx=PAD)
        self.rnn = nn.GRU(d, d, batch_first=True)
        self.query = nn.Linear(d, d, bias=False)
        self.out = nn.Linear(2 * d, len(LETTERS) + 3)

    def forward(self, tokens, memory, src, state=None):
        h, state = self.rnn(self.embed(tokens), state)
        score = self.query(h) @ memory.transpose(1, 2) / math.sqrt(memory.size(2))
        blocked = src == PAD
        if o.fault == "attends_to_pads":
            blocked = ~blocked
        score = score.masked_fill(blocked[:, None], -1e9)
        return self.out(torch.cat([h, score.softmax(-1) @ memory], -1)), state


class Translator(nn.Module):
    def __init__(self, d=48):
        super().__init__()
        self.encoder, self.decoder = Encoder(d), Decoder(d)

    def forward(self, src, tokens):
        if o.fault == "encoder_no_grad":
            with torch.no_grad():
                memory = self.encoder(src)
        else:
            memory = self.encoder(src)
        return self.decoder(tokens, memory, src)[0]

    @torch.no_grad()
    def greedy(self, src, steps=12):
        memory, state = self.encoder(src), None
        token, written = torch.full((len(src), 1), BOS), []
        for _ in range(steps):
            logits, state = self.decoder(token, memory, src, state)
            token = logits[:, -1:].argmax(-1)
            written.append(token)
        return torch.cat(written, 1)


def nll(model, src, tgt):
    if o.fault == "decoder_sees_target":
        inputs, wanted = tgt[:, 1:], tgt[:, 1:]
    else:
        inputs, wanted = tgt[:, :-1], tgt[:, 1:]
    logits = model(src, inputs)
    return F.cross_entropy(logits.reshape(-1, logits.size(-1)), wanted.reshape(-1), ignore_index=PAD)


def text(ids):
    s = ""
    for i in ids:
        if i == EOS:
            return s
        s += BACK.get(i, "?")
    return s + "..."


def evaluate(model, pairs):
    model.eval()
    src, tgt = tensors(pairs)
    with torch.no_grad():
        loss = nll(model, src, tgt).item()
    exact = sum(text(ids) == t for ids, (_, t) in zip(model.greedy(src).tolist(), pairs)) / len(pairs)
    model.train()
    return loss, exact


def main():
    rng = random.Random(8)
    torch.manual_seed(8)
    train, valid = [pair(rng) for _ in range(2000)], [pair(rng) for _ in range(160)]
    epochs, batch, lr = 5, 40, 6e-3
    if o.habit == "slow_start":
        lr, epochs = 2e-3, 6
    micro = 2 if o.fault == "cleared_each_micro_batch" else 1
    model = Translator()
    opt = torch.optim.Adam(model.parameters(), lr=lr)
    per_epoch = len(train) // batch
    total = epochs * per_epoch
    if o.fault == "cosine_in_epochs":  # T_max counts epochs, the scheduler steps by batches
        sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=epochs)
    else:
        sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=total, eta_min=lr / 20)
    with lvmcheck.record(o.out, config={"epochs": epochs, "lr": lr, "batch": batch}, **o.record) as rec:
        for epoch in range(epochs):
            rows = list(train)
            rng.shuffle(rows)
            if o.habit == "short_ones_first" and epoch < 2:
                rows = [r for r in rows if len(r[0]) < 12]
            if o.habit == "growing_data":
                rows = rows[: int(len(rows) * min(1.0, 0.4 + 0.2 * epoch))]
            mean, steps = 0.0, 0
            for k in range(0, len(rows) - batch + 1, batch):
                chunk = rows[k : k + batch]
                opt.zero_grad()
                value = 0.0
                for part in range(micro):
                    if micro > 1:
                        opt.zero_grad()
                    src, tgt = tensors(chunk[part::micro])
                    loss = nll(model, src, tgt) / micro
                    loss.backward()
                    value += loss.item()
                norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                opt.step()
                rec.step(loss=value, grad_norm=norm, lr=opt.param_groups[0]["lr"])
                if sched.last_epoch < total or o.fault == "cosine_in_epochs":
                    sched.step()
                mean, steps = mean + value, steps + 1
            metrics = {"train/nll": mean / steps}
            if o.habit != "one_evaluation" or epoch == epochs - 1:
                valid_nll, exact = evaluate(model, valid)
                metrics |= {"valid/nll": valid_nll, "valid/exact": exact}
            rec.epoch(epoch, **metrics)
            print(epoch, {k: round(v, 4) for k, v in metrics.items()})


if __name__ == "__main__":
    main()
