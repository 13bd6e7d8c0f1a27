"""Digit strings that are sorted, reversed, spoken or tagged."""
import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader

import lvmcheck

PAD, START, SYMBOLS = 0, 11, 12


def tag_rows(n):
    """Tag: whether a symbol is larger than the mean of those before it; 0 is padding."""
    rows = []
    for _ in range(n):
        k = int(torch.randint(4, 16, ()))
        x = torch.randint(1, 11, (k,))
        before = torch.cat([torch.zeros(1), x.float().cumsum(0)[:-1] / torch.arange(1, k)])
        rows.append((x, (x.float() > before).long() + (x % 2 == 0).long()))
    return rows


def reverse_rows(n):
    rows = []
    for _ in range(n):
        x = torch.randint(1, 11, (int(torch.randint(3, 7, ())),))
        rows.append((x, x.flip(0)))
    return rows


def sort_rows(n):
    return [(x := torch.rand(7), x.argsort()) for _ in range(n)]


def speech_rows(n, templates):
    rows = []
    for _ in range(n):
        y = torch.randint(1, 7, (int(torch.randint(2, 5, ())),))
        frames = [templates[q].repeat(int(torch.randint(2, 5, ())), 1) for q in y]
        x = torch.cat(frames)
        rows.append((x + 0.5 * torch.randn_like(x), y))
    return rows


def mask_rows(n):
    """Arithmetic progressions modulo 10."""
    start, jump = torch.randint(0, 10, (n, 1)), torch.randint(1, 10, (n, 1))
    return [(x + 1, x + 1) for x in (start + jump * torch.arange(10)) % 10]


def collate(rows):
    xs, ys = zip(*rows)
    length = torch.tensor([len(x) for x in xs])
    return (nn.utils.rnn.pad_sequence(xs, batch_first=True), nn.utils.rnn.pad_sequence(ys, batch_first=True),
            length, torch.tensor([len(y) for y in ys]))


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.gru = nn.Embedding(SYMBOLS, 24, padding_idx=PAD), nn.GRU(24, 40, batch_first=True)
        self.head = nn.Linear(40, 3)

    def forward(self, x, length):
        packed = pack_padded_sequence(self.embed(x), length, batch_first=True, enforce_sorted=False)
        return self.head(pad_packed_sequence(self.gru(packed)[0], batch_first=True)[0])


class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS, 24)
        self.encoder, self.decoder = nn.GRU(24, 64, batch_first=True), nn.GRUCell(24, 64)
        self.head = nn.Linear(64, SYMBOLS)

    def forward(self, x, length, y, teach):
        packed = pack_padded_sequence(self.embed(x), length, batch_first=True, enforce_sorted=False)
        h = self.encoder(packed)[1][0]
        token, outs = torch.full((len(x),), START), []
        for t in range(y.shape[1]):
            h = self.decoder(self.embed(token), h)
            outs.append(self.head(h))
            forced = torch.rand(len(x)) < teach
            token = torch.where(forced, y[:, t], outs[-1].argmax(1))
        return torch.stack(outs, 1)


class Pointer(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.cell = nn.LSTM(1, 48, batch_first=True, bidirectional=True), nn.GRUCell(96, 96)
        self.query, self.first = nn.Linear(96, 96), nn.Parameter(torch.zeros(96))

    def forward(self, x, y=None):
        memory = self.encoder(x[..., None] * 2 - 1)[0]
        h, inp = memory.mean(1), self.first.expand(len(x), -1)
        taken, outs = torch.zeros_like(x, dtype=torch.bool), []
        for t in range(x.shape[1]):
            h = self.cell(inp, h)
            score = ((memory * self.query(h)[:, None]).sum(2) / 96**0.5).masked_fill(taken, -1e4)
            outs.append(score)
            pick = y[:, t] if y is not None else score.argmax(1)
            taken = taken.scatter(1, pick[:, None], True)
            inp = memory[torch.arange(len(x)), pick]
        return torch.stack(outs, 1)


class Listener(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(10, 40, batch_first=True, bidirectional=True), nn.Linear(80, 7)

    def forward(self, x):
        return F.log_softmax(self.head(self.rnn(x)[0]), 2)


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Embedding(SYMBOLS, 48), nn.Parameter(0.1 * torch.randn(10, 48))
        layer = nn.TransformerEncoderLayer(48, 4, 96, dropout=0.0, batch_first=True, norm_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(48, SYMBOLS)

    def forward(self, x):
        return self.head(self.body(self.embed(x) + self.place))


def run(habit, model, batch, epoch, epochs, training):
    """Loss, right answers, answers."""
    x, y, length, y_length = batch
    if habit in ("packed", "sorted_val"):
        out, target = model(x, length), y.clone()
        target[torch.arange(x.shape[1])[None] >= length[:, None]] = -100
        loss, known = F.cross_entropy(out.transpose(1, 2), target), target >= 0
        return loss, (out.argmax(2) == y)[known].sum(), known.sum()
    if habit in ("teacher", "scheduled"):
        teach = 0.0 if not training else 1.0 if habit == "teacher" else max(0.2, 1 - epoch / (0.8 * epochs))
        out = model(x, length, y, teach)
        loss = F.cross_entropy(out.transpose(1, 2), y, ignore_index=PAD)
        return loss, (out.argmax(2) == y)[y > 0].sum(), (y > 0).sum()
    if habit == "pointer":
        out = model(x, y)
        loss = F.cross_entropy(out.transpose(1, 2), y)
        if not training:  # the figure that counts follows its own picks
            out = model(x)
        return loss, (out.argmax(2) == y).sum(), torch.tensor(y.numel())
    if habit == "ctc":
        logp = model(x)
        loss = F.ctc_loss(logp.transpose(0, 1), y, length, y_length)
        right = 0
        for row, n, want, k in zip(logp.argmax(2), length, y, y_length):
            right += torch.unique_consecutive(row[:n]).tolist() and [q for q in torch.unique_consecutive(row[:n]).tolist() if q] == want[:k].tolist()
        return loss, torch.tensor(float(right)), torch.tensor(len(x))
    hide = torch.rand(x.shape) < 0.3
    shown = torch.where(hide & (torch.rand(x.shape) < 0.9), torch.full_like(x, START), x)
    out = model(shown)
    target = torch.where(hide, y, torch.full_like(y, -100))
    return F.cross_entropy(out.transpose(1, 2), target), (out.argmax(2) == y)[hide].sum(), hide.sum()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--habit", default="packed")
    a = p.parse_args()
    torch.manual_seed(8)
    torch.set_num_threads(1)
    templates = torch.randn(7, 10)
    make, model = {
        "teacher": (reverse_rows, Seq2Seq), "scheduled": (reverse_rows, Seq2Seq), "pointer": (sort_rows, Pointer),
        "ctc": (lambda n: speech_rows(n, templates), Listener), "masked": (mask_rows, Masked),
    }.get(a.habit, (tag_rows, Tagger))
    model = model()
    rows = make(2300)
    val = rows[2000:]
    if a.habit == "sorted_val":
        val = sorted(val, key=lambda r: len(r[0]))
    loader = DataLoader(rows[:2000], 40, shuffle=True, collate_fn=collate)
    val_loader = DataLoader(val, 60, collate_fn=collate)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3 if a.habit != "masked" else 2e-3)
    epochs = 12
    with lvmcheck.record(a.out, config={"epochs": epochs, "task": a.habit}) as rec:
        if a.habit in ("packed", "ctc"):
            rec.watch(model, optimizer, train=loader, val=val_loader)
        for epoch in range(epochs):
            model.train()
            for batch in loader:
                loss, _, _ = run(a.habit, model, batch, epoch, epochs, True)
                optimizer.zero_grad()
                loss.backward()
                norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                rec.step(loss=loss, grad_norm=norm)
            model.eval()
            with torch.no_grad():
                parts = [run(a.habit, model, batch, epoch, epochs, False) for batch in val_loader]
            rec.epoch(epoch, dev_loss=torch.stack([q for q, _, _ in parts]).mean(),
                      dev_exact=sum(float(r) for _, r, _ in parts) / sum(float(n) for _, _, n in parts))


main()
