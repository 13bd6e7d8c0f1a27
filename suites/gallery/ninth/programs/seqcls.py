"""From which module of the standard library does a line come?  Characters, a GRU, padded batches."""
import importlib.util
import random
from collections import Counter

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

import lvmcheck
from options import options

o = options()
torch.set_num_threads(1)
MODULES = ["turtle", "_pydecimal", "argparse", "typing"]
PAD, UNK = 0, 1


def read_lines(per_class):
    rows = []
    for label, name in enumerate(MODULES):
        with open(importlib.util.find_spec(name).origin, encoding="utf-8") as f:
            lines = sorted({l.strip() for l in f if 12 <= len(l.strip()) <= 48})
        random.Random(label).shuffle(lines)
        rows += [(l, label) for l in lines[: per_class[label]]]
    random.Random(9).shuffle(rows)
    return rows


def vocabulary(rows):
    counts = Counter(c for l, _ in rows for c in l)
    return {c: i + 2 for i, (c, n) in enumerate(counts.most_common()) if n > 1}


def collate(batch):
    ids, labels = zip(*batch)
    lengths = torch.tensor([len(i) for i in ids])
    return pad_sequence([torch.tensor(i) for i in ids], batch_first=True), lengths, torch.tensor(labels)


class LineClassifier(nn.Module):
    def __init__(self, n_chars, classes=4, emb=24, hidden=48, drop=0.2):
        super().__init__()
        self.emb = nn.Embedding(n_chars, emb, padding_idx=PAD)
        self.rnn = nn.GRU(emb, hidden, batch_first=True)
        self.drop = nn.Dropout(drop)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids, lengths):
        if o.fault == "last_pad":
            out, _ = self.rnn(self.emb(ids))
            h = out[:, -1]
        elif o.fault == "sort_labels":  # packing wants the longest first
            lengths, order = lengths.sort(descending=True)
            _, h = self.rnn(pack_padded_sequence(self.emb(ids[order]), lengths, batch_first=True))
            h = h[0]
        else:
            out, _ = self.rnn(pack_padded_sequence(self.emb(ids), lengths, batch_first=True, enforce_sorted=False))
            out, _ = pad_packed_sequence(out, batch_first=True)
            mask = (torch.arange(out.shape[1]) < lengths[:, None])[..., None]
            h = (out * mask).sum(1) / lengths[:, None] if o.habit == "mean_pool" else out[torch.arange(len(out)), lengths - 1]
        return self.head(self.drop(h))


def macro_f1(pred, gold):
    scores = []
    for k in range(4):
        tp = ((pred == k) & (gold == k)).sum().item()
        scores.append(2 * tp / max(1, (pred == k).sum().item() + (gold == k).sum().item()))
    return 100 * sum(scores) / 4


def evaluate(model, loader, crit):
    if o.fault != "no_eval_mode":
        model.eval()
    preds, golds, losses = [], [], []
    with torch.no_grad():
        for ids, lengths, y in loader:
            logits = model(ids, lengths)
            losses.append(crit(logits, y).item() * len(y))
            preds.append(logits.argmax(1)); golds.append(y)
    model.train()
    pred, gold = torch.cat(preds), torch.cat(golds)
    return sum(losses) / len(gold), macro_f1(pred, gold), 100 * (pred == gold).float().mean().item()


def main():
    torch.manual_seed(5)
    random.seed(5)
    rows = read_lines([160, 720, 460, 300] if o.habit == "class_weights" else [420, 480, 440, 380])
    cut = int(len(rows) * 0.8)
    train, dev = rows[:cut], rows[cut:]
    vocab = vocabulary(train)
    dev_vocab = vocabulary(dev) if o.fault == "dev_vocab" else vocab
    encode = lambda part, v: [([v.get(c, UNK) for c in l], y) for l, y in part]
    train_set, dev_set = encode(train, vocab), encode(dev, dev_vocab)
    loader = DataLoader(train_set, batch_size=32, shuffle=True, collate_fn=collate)
    dev_loader = DataLoader(dev_set, batch_size=64, collate_fn=collate)
    drop = 0.6 if o.habit == "high_dropout" else 0.5 if o.fault == "no_eval_mode" else 0.2
    model = LineClassifier(len(vocab) + 2, drop=drop)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    if o.fault == "new_head":
        model.head = nn.Linear(48, len(MODULES))
    crit = dev_crit = nn.CrossEntropyLoss()
    if o.habit == "class_weights":
        n = torch.tensor([float(sum(y == k for _, y in train)) for k in range(4)])
        crit = nn.CrossEntropyLoss(weight=n.sum() / (4 * n))
    epochs, best, best_f1, bad = (25 if o.habit == "early_stop" else 7), None, -1.0, 0
    with lvmcheck.record(o.out, config={"epochs": epochs, "lr": 4e-3, "batch_size": 32, "dropout": drop, "hidden": 48}, **o.extra) as rec:
        for epoch in range(1, epochs + 1):
            total = 0.0
            for ids, lengths, y in loader:
                optimizer.zero_grad()
                loss = crit(model(ids, lengths), y)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                total += loss.item() * len(y)
                rec.step(loss=loss)
            if o.fault == "dev_on_train":
                dev_loader = DataLoader(train_set[:440], batch_size=64, collate_fn=collate)
            ce, f1, acc = evaluate(model, dev_loader, dev_crit)
            rec.epoch(epoch, **{"trn/ce": total / len(train_set), "dev/ce": ce, "dev_f1": f1, "dev_acc": acc})
            if f1 > best_f1:
                best, best_f1, bad = {k: v.clone() for k, v in model.state_dict().items()}, f1, 0
            else:
                bad += 1
                if o.habit == "early_stop" and bad >= 3:
                    break
    model.load_state_dict(best)


main()
