"""Positive, negative or neutral? Made-up reviews, word embeddings, a bidirectional GRU with packed sequences."""

import random
from collections import Counter

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

import lvmcheck
from common import options

o = options()

GOOD = "great lovely superb solid charming brilliant crisp funny moving clever".split()
BAD = "awful dull clumsy broken boring shallow noisy bland tired messy".split()
THINGS = "plot cast score phone screen battery meal service room view book ending pacing camera staff menu".split()
FILL = "the a this that i we think really very quite so honestly overall it was is with of and for my first last".split()
RARE = [a + b for a in ("ka", "lo", "mi", "ren", "tu", "sol") for b in ("dor", "via", "nex", "tam", "pel", "ris", "gon")]


def sentence(rng):
    """Two or three clauses; what stands after 'but' counts double, and 'not' turns a word round."""
    score, words = 0, []
    clauses = rng.randint(1, 3)
    for k in range(clauses):
        weight = 1
        if k:
            if rng.random() < 0.5:
                words.append("but")
                weight = 2
            else:
                words.append("and")
        words += rng.choices(FILL, k=rng.randint(0, 2)) + [rng.choice(THINGS), rng.choice(["was", "is", "felt"])]
        kind = rng.random()
        if kind < 0.25:
            words.append(rng.choice(RARE))
            continue
        sign = 1
        if rng.random() < 0.25:
            words.append("not")
            sign = -1
        word = rng.choice(GOOD if rng.random() < 0.55 else BAD)
        score += weight * sign * (1 if word in GOOD else -1)
        words.append(word)
    words += rng.choices(FILL + RARE, k=rng.randint(0, 3))
    return words, "positive" if score > 0 else "negative" if score < 0 else "neutral"


def corpus(n, seed, noise):
    rng = random.Random(seed)
    rows = [sentence(rng) for _ in range(n)]
    return [(w, rng.choice(["positive", "negative", "neutral"]) if rng.random() < noise else c) for w, c in rows]


def build_vocab(rows):
    counts = Counter(word for words, _ in rows for word in words)
    return {word: i + 2 for i, (word, _) in enumerate(counts.most_common())}


def encode(rows, vocab, classes, limit):
    return [(torch.tensor([vocab.get(w, 1) for w in words][:limit]), classes.index(c)) for words, c in rows]


def collate(batch):
    tokens, y = zip(*batch)
    lengths = torch.tensor([len(t) for t in tokens])
    return pad_sequence(tokens, batch_first=True), lengths, torch.tensor(y)


class Classifier(nn.Module):
    def __init__(self, size, vectors=None):
        super().__init__()
        self.embed = nn.Embedding(size, 32, padding_idx=0)
        if vectors is not None:
            self.embed.weight.data.copy_(vectors)
            self.embed.weight.requires_grad_(False)
        if o.fault == "embedding_frozen":
            self.embed.weight.requires_grad_(False)
        self.gru = nn.GRU(32, 40, batch_first=o.fault != "batch_second", bidirectional=True)
        self.drop = nn.Dropout(0.2)
        if o.fault == "layers_in_list":
            self.top = [nn.Linear(80, 40), nn.ReLU(), nn.Linear(40, 3)]
        else:
            self.top = nn.ModuleList([nn.Linear(80, 40), nn.ReLU(), nn.Linear(40, 3)])

    def forward(self, tokens, lengths):
        x = self.embed(tokens)
        if o.fault == "batch_second":
            out, _ = self.gru(x)
        else:
            out, _ = self.gru(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
            out, _ = pad_packed_sequence(out, batch_first=True)
        mask = (torch.arange(out.size(1))[None] < lengths[:, None]).unsqueeze(2)
        if o.fault == "pads_in_max":
            mask = torch.ones_like(mask)
        x = self.drop(out.masked_fill(~mask, -1e9).amax(1))
        for layer in self.top:
            x = layer(x)
        return x


def cooccurrence_vectors(rows, vocab):
    """Vectors of a larger corpus without labels: words by the words beside them, reduced to 32 numbers."""
    counts = torch.zeros(len(vocab) + 2, len(vocab) + 2)
    for words, label in rows:
        ids = [vocab.get(w, 1) for w in words]
        for a, b in zip(ids, ids[1:]):
            counts[a, b] += 1
            counts[b, a] += 1
    polarity = {w: 1.0 for w in GOOD} | {w: -1.0 for w in BAD}
    u, s, _ = torch.linalg.svd((counts + 1).log())
    vectors = u[:, :32] * s[:32].sqrt()
    for w, v in polarity.items():  # a lexicon of polarity, as the published vectors have it in one direction
        if w in vocab:
            vectors[vocab[w], 31] = 1.5 * v
    return vectors / vectors.std()


def main():
    random.seed(2)
    torch.manual_seed(2)
    noise = 0.4 if o.habit == "noisy_labels" else 0.04
    train_rows, dev_rows = corpus(2400 if o.habit == "noisy_labels" else 1600, 10, noise), corpus(500, 20, noise)
    vocab = build_vocab(train_rows)
    classes = ["negative", "neutral", "positive"]
    limit = 6 if o.fault == "truncated_at_6" else 40
    train = encode(train_rows, vocab, classes, limit)
    if o.fault == "vocab_of_dev":
        dev = encode(dev_rows, build_vocab(dev_rows), classes, limit)
    elif o.fault == "classes_of_dev":  # in order of appearance, in each file
        classes_train = list(dict.fromkeys(c for _, c in train_rows))
        classes_dev = list(dict.fromkeys(c for _, c in dev_rows))
        if classes_dev == classes_train:
            classes_dev = classes_dev[1:] + classes_dev[:1]
        train, dev = encode(train_rows, vocab, classes_train, limit), encode(dev_rows, vocab, classes_dev, limit)
    else:
        dev = encode(dev_rows, vocab, classes, limit)
    train_loader = DataLoader(train, 32, shuffle=True, collate_fn=collate)
    dev_loader = DataLoader(dev, 100, collate_fn=collate)

    vectors = cooccurrence_vectors(corpus(4000, 30, 0), vocab) if o.habit == "frozen_vectors" else None
    model = Classifier(len(vocab) + 2, vectors)
    lr, epochs = 5e-3, 5
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
    criterion = nn.CrossEntropyLoss()
    first = 1
    with lvmcheck.record(o.out, config={"lr": lr, "epochs": epochs, "batch_size": 32}, **o.record) as rec:
        for epoch in range(first, epochs + 1):
            model.train()
            loss_sum, correct, count = 0.0, 0, 0
            for tokens, lengths, y in train_loader:
                logits = model(tokens, lengths)
                loss = criterion(logits, y)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                rec.step(loss=loss)
                loss_sum += loss.item() * len(y)
                correct += (logits.argmax(1) == y).sum().item()
                count += len(y)
            if o.habit == "resumed" and epoch == 3:  # the job was requeued: everything comes back from its file
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                model = Classifier(len(vocab) + 2)
                optimizer = torch.optim.Adam(model.parameters(), lr=lr)
                model.load_state_dict(state["model"])
                optimizer.load_state_dict(state["optimizer"])
            model.eval()
            dev_loss, dev_right = 0.0, 0
            with torch.no_grad():
                for tokens, lengths, y in dev_loader:
                    logits = model(tokens, lengths)
                    dev_loss += criterion(logits, y).item() * len(y)
                    dev_right += (logits.argmax(1) == y).sum().item()
            rec.epoch(
                epoch,
                train_loss=loss_sum / count,
                train_acc=correct / count,
                dev_loss=dev_loss / len(dev),
                dev_acc=dev_right / len(dev),
            )
            print(epoch, loss_sum / count, correct / count, dev_loss / len(dev), dev_right / len(dev))


if __name__ == "__main__":
    main()
