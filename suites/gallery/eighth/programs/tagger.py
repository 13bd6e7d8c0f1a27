"""Part-of-speech-like tagger: transformer encoder over padded sentences."""
import random

import torch
from torch import nn

import lvmcheck
from common import options

torch.set_num_threads(1)

PAD, UNK = 0, 1
TAGS = 8  # 0 is the tag of padding


class Language:
    """Tags follow a second order chain, most words have two possible tags."""

    def __init__(self, seed):
        r = random.Random(seed)
        self.r = r
        self.next = {(a, b): [r.random() ** 4 + 0.004 for _ in range(1, TAGS)] for a in range(TAGS) for b in range(TAGS)}
        self.words = {t: [] for t in range(1, TAGS)}
        for w in range(420):
            first = r.choices(range(1, TAGS), [8, 6, 5, 3, 2, 1.5, 1])[0]
            self.words[first].append(w)
            if r.random() < 0.75:
                self.words[r.randint(1, TAGS - 1)].append(w)
        for t in self.words:
            r.shuffle(self.words[t])

    def sentence(self):
        r = self.r
        n = min(22, max(4, int(r.gauss(10, 4))))
        a = b = 0
        words, tags = [], []
        for _ in range(n):
            t = r.choices(range(1, TAGS), self.next[a, b])[0]
            ws = self.words[t]
            words.append(ws[min(len(ws) - 1, int(len(ws) * r.random() ** 2))])
            tags.append(t)
            a, b = b, t
        return words, tags


class Tagger(nn.Module):
    def __init__(self, size, width=32, drop=0.1, o=None):
        super().__init__()
        self.o = o
        self.emb = nn.Embedding(size, width, padding_idx=PAD)
        self.pos = nn.Parameter(0.02 * torch.randn(24, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=drop, batch_first=True, norm_first=True)
        self.enc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.drop = nn.Dropout(drop)
        self.out = nn.Linear(width, TAGS)

    def forward(self, ids):
        mask = ids == PAD
        if self.o.fault == "mask_inverted":
            mask = ids != PAD
        x = self.drop(self.emb(ids) + self.pos[:ids.shape[1]])
        return self.out(self.enc(x, src_key_padding_mask=mask))


def collate(batch):
    n = max(len(w) for w, _ in batch) + 1  # room for the end
    ids, tags = torch.full((len(batch), n), PAD), torch.zeros(len(batch), n, dtype=torch.long)
    for i, (w, t) in enumerate(batch):
        ids[i, :len(w)], tags[i, :len(t)] = torch.tensor(w), torch.tensor(t)
    return ids, tags


def macro_f1(pred, gold):
    f = []
    for t in range(1, TAGS):
        tp = ((pred == t) & (gold == t)).sum().item()
        f.append(2 * tp / max(1, (pred == t).sum().item() + (gold == t).sum().item()))
    return 100 * sum(f) / len(f)


def run(o):
    random.seed(3)
    torch.manual_seed(3)
    language = Language(3)
    train = [language.sentence() for _ in range(600)]
    dev = [language.sentence() for _ in range(160)]
    vocabulary = {}
    counts = {}
    for w, _ in train:
        for token in w:
            counts[token] = counts.get(token, 0) + 1
    for token, c in counts.items():
        if c > 3:
            vocabulary[token] = len(vocabulary) + 2
    unknown = PAD if o.fault == "unk_as_pad" else UNK
    train = [([vocabulary.get(t, unknown) for t in w], tags) for w, tags in train]
    dev = [([vocabulary.get(t, unknown) for t in w], tags) for w, tags in dev]
    if o.fault == "dev_is_train":
        dev = train[:160]

    drop = {"high_dropout": 0.35}.get(o.habit, 0.1)
    if o.fault == "keep_prob":
        drop = 0.9
    model = Tagger(len(vocabulary) + 2, drop=drop, o=o)
    if o.habit == "frozen_embeddings":
        model.emb.weight.requires_grad_(False)
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(params, lr=4e-3)
    weight = None
    if o.habit == "rare_class":
        c = torch.tensor([sum(t.count(k) for _, t in train) for k in range(TAGS)]).float().clamp(min=1)
        weight = (c[1:].mean() / c).sqrt()
    criterion = nn.CrossEntropyLoss(ignore_index=-100 if o.fault == "pad_in_loss" else 0, weight=weight)
    epochs = 9

    with lvmcheck.record(o.out, config=dict(epochs=epochs, lr=4e-3, batch=25, clip=1.0, dropout=drop), **o.extra) as rec:
        for epoch in range(1, epochs + 1):
            model.train()
            if o.fault == "opt_each_epoch":
                optimizer = torch.optim.Adam(params, lr=4e-3)
            rows = list(train)
            if o.habit == "growing_data":
                rows = rows[:150 + 50 * epoch]
            random.shuffle(rows)
            ce = []
            for i in range(0, len(rows), 25):
                ids, tags = collate(rows[i:i + 25])
                logits = model(ids)
                loss = criterion(logits.reshape(-1, TAGS), tags.reshape(-1))
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(params, 1.0)
                optimizer.step()
                ce.append(loss.item())
                rec.step(loss=loss)
            model.eval()
            preds, golds, dev_ce = [], [], []
            with torch.no_grad():
                for i in range(0, len(dev), 80):
                    ids, tags = collate(dev[i:i + 80])
                    logits = model(ids)
                    dev_ce.append(criterion(logits.reshape(-1, TAGS), tags.reshape(-1)).item())
                    keep = tags > 0
                    preds.append(logits.argmax(-1)[keep])
                    golds.append(tags[keep])
            rec.epoch(epoch, **{"trn/ce": sum(ce) / len(ce), "dev_ce": sum(dev_ce) / len(dev_ce),
                                "dev_f1": macro_f1(torch.cat(preds), torch.cat(golds))})


run(options())
