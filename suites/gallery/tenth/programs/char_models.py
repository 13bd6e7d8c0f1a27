"""Character models of a made-up language of small sentences."""
import argparse
import math
import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

NOUNS = "cat dog bird fish king queen tree river stone boat".split()
VERBS = "sees likes follows finds hears".split()
ADJECTIVES = "small old quick grey happy".split()


def sentence(r):
    def thing():
        return " ".join(["the", *r.sample(ADJECTIVES, r.choice([0, 1, 1])), r.choice(NOUNS)])

    first = thing()
    verb = VERBS[(len(first) + r.choice([0, 0, 0, 1])) % 5]
    return f"{first} {verb} {thing()}. "


def text(seed, n):
    r = random.Random(seed)
    return "".join(sentence(r) for _ in range(n))


class GPT(nn.Module):
    def __init__(self, vocab, width=48, length=48, layers=2, dropout=0.0):
        super().__init__()
        self.embed, self.place = nn.Embedding(vocab, width), nn.Embedding(length, width)
        layer = lambda: nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=dropout, batch_first=True, norm_first=True)
        self.layers = nn.ModuleList(layer() for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.head.weight = self.embed.weight

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        h = self.embed(x) + self.place(torch.arange(x.shape[1]))
        for layer in self.layers:
            h = layer(h, src_mask=mask, is_causal=True)
        return self.head(self.norm(h))


class Recurrent(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(vocab, 32), nn.LSTM(32, 96, batch_first=True), nn.Linear(96, vocab)

    def forward(self, x, state=None):
        h, state = self.rnn(self.embed(x), state)
        return self.head(h), state


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--habit", default="plain")
    a = p.parse_args()
    torch.manual_seed(17)
    torch.set_num_threads(1)
    train_text, val_text = text(1, 14000 if a.habit == "one_pass" else 2400), text(2, 260)
    alphabet = sorted(set(train_text))
    code = {c: i for i, c in enumerate(alphabet)}
    ids, held = (torch.tensor([code[c] for c in t]) for t in (train_text, val_text))
    V, T = len(alphabet), 48

    def blocks(t):
        n = (len(t) - 1) // T
        return TensorDataset(t[: n * T].view(n, T), t[1 : n * T + 1].view(n, T))

    loader = DataLoader(blocks(ids), batch_size=24, shuffle=True)
    val_loader = DataLoader(blocks(held), batch_size=32)
    model = Recurrent(V) if a.habit == "carried_state" else GPT(V, dropout=0.1 if a.habit == "plain" else 0.0)
    decayed = [q for q in model.parameters() if q.dim() > 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": [q for q in model.parameters() if q.dim() < 2], "weight_decay": 0.0}],
        lr=4e-3, betas=(0.9, 0.95))
    total = {"one_pass": len(loader), "carried_state": 600}.get(a.habit, 500)
    warm = {"long_warmup": 250, "one_pass": 10}.get(a.habit, 40)

    def rate(step):
        if step < warm:
            return (step + 1) / warm
        if a.habit == "restarts":
            return 0.5 * (1 + math.cos(math.pi * ((step - warm) % 115) / 115)) + 0.01
        if a.habit == "late_decay":
            return 1.0 if step < 0.8 * total else max(0.02, (total - step) / (0.2 * total))
        return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)

    @torch.no_grad()
    def val_nats():
        model.eval()
        total = n = 0
        for x, y in val_loader:
            out = model(x)[0] if a.habit == "carried_state" else model(x)
            if a.habit == "answers_only":
                y = y.masked_fill(torch.arange(T) < T // 2, -100)
            total += F.cross_entropy(out.flatten(0, 1), y.flatten(), ignore_index=-100, reduction="sum").item()
            n += int((y >= 0).sum())
        model.train()
        return total / n

    def batches():
        """Endless; the recurrent model reads sixteen columns of the text in order."""
        if a.habit == "carried_state":
            n = (len(ids) - 1) // 16
            while True:
                for i in range(0, n - 32, 32):
                    rows = torch.arange(16)[:, None] * n + i + torch.arange(32)
                    yield ids[rows], ids[rows + 1], i == 0
        while True:
            for x, y in loader:
                yield x, y, False

    with lvmcheck.record(a.out, config={"steps": total, "habit": a.habit}) as rec:
        if a.habit in ("long_warmup", "answers_only"):
            rec.watch(model, optimizer, schedule, train=loader, val=val_loader)
        state, source, every = None, batches(), max(1, total // 12)
        for step in range(1, total + 1):
            x, y, fresh = next(source)
            if a.habit == "carried_state":
                state = None if fresh or state is None else tuple(s.detach() for s in state)
                out, state = model(x, state)
            else:
                out = model(x)
            target = y
            if a.habit == "answers_only":  # only letters of the second half of the window are scored
                target = y.masked_fill(torch.arange(T) < T // 2, -100)
            loss = F.cross_entropy(out.flatten(0, 1), target.flatten(), ignore_index=-100)
            if a.habit == "z_loss":
                loss = loss + 1e-3 * out.logsumexp(2).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if a.habit == "rare_logging":
                if step % 20 == 0:
                    rec.log({"train/loss": loss.item(), "lr": schedule.get_last_lr()[0]}, step=step)
            else:
                rec.step(loss=loss, lr=schedule.get_last_lr()[0], grad_norm=norm)
            if step % every == 0:
                nats = val_nats()
                if a.habit == "bits":
                    rec.log(val_bits_per_char=nats / math.log(2))
                elif a.habit == "rare_logging":
                    rec.log({"val/loss": nats}, step=step)
                else:
                    rec.log(val_loss=nats, val_perplexity=math.exp(nats))
                print(step, loss.item(), nats)


main()
