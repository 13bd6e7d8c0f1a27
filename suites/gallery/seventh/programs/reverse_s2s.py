"""Sequence to sequence: reverse a string of digits and add one to each. History as CSV."""
import csv
import os

import torch
import torch.nn.functional as F
from torch import nn

from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(9)
PAD, BOS, EOS, L = 10, 11, 12, 6


def make(n):
    src = torch.full((n, L + 1), PAD)
    tgt = torch.full((n, L + 2), PAD)
    if o.fault == "pads_in_loss":
        tgt = torch.full((n, 4 * L), PAD)
    for i in range(n):
        k = int(torch.randint(2, L + 1, (1,)))
        d = torch.randint(0, 10, (k,))
        src[i, :k], src[i, k] = d, EOS
        tgt[i, 0] = BOS
        tgt[i, 1:k + 1], tgt[i, k + 1] = (d.flip(0) + 1) % 10, EOS
    return src, tgt


class Seq2Seq(nn.Module):
    def __init__(self, h=64):
        super().__init__()
        self.emb = nn.Embedding(13, 32)
        self.enc = nn.GRU(32, h, batch_first=True)
        self.dec = nn.GRU(32, h, batch_first=True)
        self.attn = nn.Linear(h, h, bias=False)
        self.out = nn.Linear(2 * h, 13)

    def encode(self, src):
        if o.fault == "encoder_without_grad":
            with torch.no_grad():
                return self.enc(self.emb(src))
        return self.enc(self.emb(src))

    def decode(self, y, mem, h, mask):
        d, h = self.dec(self.emb(y), h)
        score = self.attn(d) @ mem.transpose(1, 2)
        if o.fault != "mask_inverted":
            score = score.masked_fill(mask[:, None], -1e9)
        else:
            score = score.masked_fill(~mask[:, None], -1e9)
        return self.out(torch.cat([d, score.softmax(-1) @ mem], -1)), h

    def forward(self, src, y):
        mem, h = self.encode(src)
        return self.decode(y, mem, h, src == PAD)[0]


@torch.no_grad()
def exact_match(model, src, tgt):
    mem, h = model.encode(src)
    y = torch.full((len(src), 1), BOS)
    right = torch.ones(len(src), dtype=torch.bool)
    for t in range(1, L + 2):
        z, h = model.decode(y, mem, h, src == PAD)
        y = z.argmax(-1)
        right &= (y[:, 0] == tgt[:, t]) | (tgt[:, t] == PAD)
    return right.float().mean().item()


xs, ys = make(1000)
xv, yv = make(200)
model = Seq2Seq()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
if o.fault == "clip_tiny":
    opt = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
epochs, rec = 8, None
if o.watch:
    import lvmcheck
    rec = lvmcheck.record(o.out, config={"task": "reverse digits", "epochs": epochs})
    rec.__enter__()
    rec.watch(model, opt)
else:
    os.makedirs(o.out, exist_ok=True)
    out = open(os.path.join(o.out, "log.csv"), "w", newline="")
    table = csv.writer(out)
    table.writerow(["epoch", "train_ce", "valid_ce", "valid_token_acc", "valid_exact"])
for epoch in range(epochs):
    model.train()
    total = count = 0
    order = torch.randperm(len(xs))
    if o.habit == "curriculum" and epoch < 4:  # short ones first
        order = order[(xs[order] != PAD).sum(1) <= 4 + epoch]
    for rows in order.split(50):
        src, tgt = xs[rows], ys[rows]
        inp, gold = tgt[:, :-1], tgt[:, 1:]
        if o.fault == "decoder_sees_target":
            inp = gold
        z = model(src, inp)
        ignore = -100 if o.fault == "pads_in_loss" else PAD
        loss = F.cross_entropy(z.flatten(0, 1), gold.flatten(), ignore_index=ignore,
                               label_smoothing=0.1 if o.habit == "label_smoothing" else 0.0)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.001 if o.fault == "clip_tiny" else 1.0)
        opt.step()
        total, count = total + loss.item(), count + 1
        if rec:
            rec.step(loss=loss)
    model.eval()
    with torch.no_grad():
        inp, gold = yv[:, :-1], yv[:, 1:]
        if o.fault == "decoder_sees_target":
            inp = gold
        z = model(xv, inp)
        keep = torch.ones_like(gold, dtype=torch.bool) if o.fault == "pads_in_loss" else gold != PAD
        ce = F.cross_entropy(z[keep], gold[keep]).item()
        acc = (z.argmax(-1) == gold)[keep].float().mean().item()
    em = exact_match(model, xv, yv)
    if rec:
        rec.epoch(epoch, train_ce=total / count, valid_ce=ce, valid_token_acc=acc, valid_exact=em)
    else:
        table.writerow([epoch, round(total / count, 5), round(ce, 5), round(acc, 4), round(em, 4)])
        out.flush()
if rec:
    rec.__exit__(None, None, None)
