"""Tags for the words of short messages of varied length: packed recurrent encoder, or a Transformer with a padding mask."""
import argparse
import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

import lvmcheck

TAGS = ["O", "PERSON", "PLACE", "DATE", "MONEY"]
FIRST = ["april", "june", "jordan", "paris", "chelsea", "mark", "bill", "grace", "victor", "sandra", "otto", "irene"]
PLACES = ["paris", "jordan", "chelsea", "victoria", "lima", "oslo", "florence", "kiel", "bergen", "turin"]
MONTHS = ["april", "june", "may", "march", "august", "october"]
VERBS = ["met", "called", "paid", "visited", "asked", "saw", "invited"]
FILL = ["and", "then", "the", "old", "bill", "mark", "may", "quickly", "again", "was", "there", "with", "who", "early", "train", "office", "march"]


def message(rng):
    words, tags = [], []
    def add(text, tag):
        words.append(text)
        tags.append(tag)
    for _ in range(rng.randint(1, 4)):
        for _ in range(rng.randint(0, 2)):
            add(rng.choice(FILL), "O")
        kind = rng.randrange(5)
        if kind == 0:
            add(rng.choice(["mr", "dear", "uncle"]), "O"), add(rng.choice(FIRST), "PERSON")
        elif kind == 1:
            add(rng.choice(FIRST), "PERSON"), add(rng.choice(VERBS), "O")
        elif kind == 2:
            add(rng.choice(["in", "near", "to"]), "O"), add(rng.choice(PLACES), "PLACE")
        elif kind == 3:
            add(rng.choice(["on", "by"]), "O"), add(rng.choice(MONTHS), "DATE"), add(str(rng.randint(1, 31)), "DATE")
        else:
            add(str(rng.randint(1, 31)), "MONEY"), add(rng.choice(["euros", "dollars", "pounds"]), "MONEY")
    return words, [t if rng.random() > 0.01 else "O" for t in tags]


class Messages(Dataset):
    def __init__(self, messages, vocabulary):
        self.rows = [(torch.tensor([vocabulary.get(w, 1) for w in words]), torch.tensor([TAGS.index(t) for t in tags])) for words, tags in messages]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def vocabulary_of(messages):
    return {w: i + 2 for i, w in enumerate(dict.fromkeys(w for words, _ in messages for w in words))}


class Collate:
    def __init__(self, fault):
        self.fault = fault

    def __call__(self, rows):
        ids, tags = [r[0] for r in rows], [r[1] for r in rows]
        if self.fault == "ids_sorted_alone":
            ids = sorted(ids, key=len, reverse=True)
        lengths = torch.tensor([len(i) for i in ids])
        fill = 0 if self.fault in ("tags_filled_with_o", "first_tag_ignored") else -100
        tags = pad_sequence(tags, batch_first=True, padding_value=fill)
        return pad_sequence(ids, batch_first=True), lengths, tags


class Tagger(nn.Module):
    def __init__(self, words, dim=32, hidden=32, kind="gru", fault=None):
        super().__init__()
        self.table, self.kind, self.fault = nn.Embedding(words, dim, padding_idx=0), kind, fault
        self.drop = nn.Dropout(0.2)
        if kind == "gru":
            self.encoder = nn.GRU(dim, hidden, bidirectional=True, batch_first=fault != "time_first")
        else:
            self.place = nn.Embedding(32, dim)
            layer = nn.TransformerEncoderLayer(dim, 4, 4 * dim, 0.1, batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.tag = nn.Linear(2 * hidden if kind == "gru" else dim, len(TAGS))
        self.memory = None

    def forward(self, ids, lengths):
        x = self.drop(self.table(ids))
        if self.kind != "gru":
            pad = ids == 0
            x = self.encoder(x + self.place(torch.arange(ids.shape[1])), src_key_padding_mask=~pad if self.fault == "mask_of_words" else pad)
        elif self.fault == "time_first":
            x, _ = self.encoder(x)
        else:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            state = self.memory if self.fault == "state_carried" and self.memory is not None and self.memory.shape[1] == len(ids) else None
            out, last = self.encoder(packed, state)
            if self.fault == "state_carried":
                self.memory = last.detach()
            x, _ = pad_packed_sequence(out, batch_first=True, total_length=ids.shape[1])
            if self.fault == "last_state_for_all":
                x = torch.cat([last[0], last[1]], 1)[:, None].expand(-1, ids.shape[1], -1)
            elif self.fault == "data_of_outputs":
                x = x.data
        return self.tag(self.drop(x))


class Scores:
    def __init__(self, fault):
        self.fault, self.right, self.n, self.table = fault, 0, 0, torch.zeros(len(TAGS), len(TAGS))

    def add(self, logits, tags):
        guess, known = logits.argmax(-1), tags != -100
        self.right += (guess == tags).sum().item()
        self.n += tags.numel() if self.fault == "all_places_counted" else known.sum().item()
        self.table += torch.bincount(tags[known] * len(TAGS) + guess[known], minlength=len(TAGS) ** 2).view(len(TAGS), -1)

    def macro_f1(self):
        hit = self.table.diag()
        return (2 * hit / (self.table.sum(0) + self.table.sum(1)).clamp(min=1)).mean().item()


def run_epoch(model, loader, criterion, fault, step=None):
    scores, total, batches = Scores(fault), 0.0, 0
    for ids, lengths, tags in loader:
        logits = model(ids, lengths)
        loss = criterion(logits.flatten(0, 1), tags.flatten())
        scores.add(logits, tags)
        total, batches = total + loss.item(), batches + 1
        if step is not None:
            step(loss)
    return total / batches, scores.right / scores.n, scores.macro_f1()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("outdir")
    parser.add_argument("--fault")
    parser.add_argument("--habit")
    args = parser.parse_args()
    fault, habit = args.fault, args.habit
    torch.set_num_threads(1)
    torch.manual_seed(2)
    rng = random.Random(4)
    messages = [message(rng) for _ in range(1500)]
    first, last = messages[:1200], messages[1200:]
    words = vocabulary_of(first)
    train = Messages(first, words)
    val = Messages(last, vocabulary_of(last) if fault == "vocabulary_of_each" else words)
    collate = Collate(fault)
    if habit == "buckets":
        order = sorted(range(len(train)), key=lambda i: (len(train[i][0]), i))
        batches = [order[i : i + 32] for i in range(0, len(order), 32)]
        shuffler = random.Random(6)

        class Buckets:
            def __iter__(self):
                return iter(shuffler.sample(batches, len(batches)))

            def __len__(self):
                return len(batches)

        train_loader = DataLoader(train, batch_sampler=Buckets(), collate_fn=collate)
    else:
        train_loader = DataLoader(train, 32, shuffle=True, collate_fn=collate, drop_last=True)
    val_loader = DataLoader(val, 32, collate_fn=collate)
    kind = "transformer" if habit == "transformer" or fault == "mask_of_words" else "gru"
    model = Tagger(max(words.values()) + 1 + 40, kind=kind, fault=fault)
    weight = None
    if fault == "weights_by_count" or habit == "weighted_tags":
        count = torch.bincount(torch.cat([t for _, t in train.rows]), minlength=len(TAGS)).float()
        weight = count / count.mean() if fault == "weights_by_count" else count.sum() / (len(TAGS) * count)
    ignore = 0 if fault == "first_tag_ignored" else -100
    criterion = nn.CrossEntropyLoss(weight, ignore_index=ignore, reduction="sum" if fault == "sum_of_tokens" else "mean")
    epochs, lr, most = 8, 0.2, 0.002 if fault == "clip_of_values" else 2.0
    if kind == "transformer":
        lr = 0.05
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9, nesterov=True)
    every = 1 if fault == "drop_each_epoch" else 6
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, every, 0.1)

    with lvmcheck.record(args.outdir, config={"lr": lr, "epochs": epochs, "clip": most}, seed=2) as rec:

        def step(loss):
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), most)
            if fault != "only_the_scheduler":
                optimizer.step()
            rec.step(loss=loss, grad_norm=norm, lr=scheduler.get_last_lr()[0])

        for epoch in range(epochs):
            model.train()
            loss, accuracy, f1 = run_epoch(model, train_loader, criterion, fault, step)
            scheduler.step()
            model.eval()
            with torch.no_grad():
                val_loss, val_accuracy, val_f1 = run_epoch(model, val_loader, criterion, fault)
            rec.epoch(epoch, train_loss=loss, train_accuracy=accuracy, val_loss=val_loss, val_accuracy=val_accuracy, val_macro_f1=val_f1)


if __name__ == "__main__":
    main()
