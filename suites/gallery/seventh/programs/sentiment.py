"""Sentiment of short reviews, in the manner of a Trainer with a trainer_state.json."""
import json
import os
import random

import torch
import torch.nn.functional as F
from torch import nn

from common import options

o = options()
torch.set_num_threads(1)
random.seed(4)
torch.manual_seed(4)
GOOD = "great lovely superb fine crisp warm honest bright moving charming sharp funny".split()
BAD = "dull awful weak bland cold noisy slow clumsy hollow boring flat messy".split()
NEUTRAL = ("The film was a story of two people in the city and their dog who never met before it rained all day long with "
           "music by someone famous or so they said at that time nobody knew why").split()


def review(hard):
    label = random.random() < 0.5
    words = []
    for _ in range(random.randint(6, 24)):
        if random.random() < (0.12 if hard else 0.3):
            side = GOOD if (random.random() < (0.62 if hard else 0.8)) == label else BAD
            word = random.choice(side)
            if random.random() < 0.2:
                words.append("not")
                word = random.choice(BAD if side is GOOD else GOOD)
        else:
            word = random.choice(NEUTRAL)
        words.append(word.capitalize() if random.random() < 0.3 or o.fault == "vocabulary_case" else word)
    return " ".join(words), int(label)


data = [review(o.habit == "hard") for _ in range(1900)]
train, dev = data[:1500], data[1500:]
if o.fault == "sorted_not_shuffled":
    train = sorted(train, key=lambda row: row[1])
vocab = {"<pad>": 0, "<unk>": 1}
for text, _ in train:
    for w in text.lower().split():
        vocab.setdefault(w, len(vocab))


def encode(text, n=30):
    words = text.split() if o.fault == "vocabulary_case" else text.lower().split()
    ids = [vocab.get(w, 1) for w in words][:n]
    return ids + [0] * (n - len(ids))


def collate(rows):
    return torch.tensor([encode(t) for t, _ in rows]), torch.tensor([y for _, y in rows])


class Classifier(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.emb = nn.Embedding(len(vocab), d, padding_idx=0)
        self.conv = nn.Conv1d(d, 48, 3, padding=1)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(48, 2)

    def forward(self, ids):
        h = F.relu(self.conv(self.emb(ids).transpose(1, 2)))
        h = h.amax(-1)
        return self.head(self.drop(h))


class Trainer:
    def __init__(self, model, out, epochs=6, lr=3e-3, batch=40):
        self.model, self.out, self.epochs, self.batch = model, out, epochs, batch
        if o.fault == "head_replaced_after_optimizer":
            self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
            model.head = nn.Linear(48, 2)  # two labels instead of the old ones
        else:
            lr = 0.3 if o.fault == "lr_too_high" else lr
            self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
        self.total = epochs * len(train) // batch
        warm = self.total * 10 if o.fault == "warmup_too_long" else self.total // 10
        if o.habit == "warmup_half":
            warm = self.total // 2
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda s: min((s + 1) / max(1, warm), max(0.02, (self.total - s) / max(1, self.total - warm)) if warm < self.total else 1))
        self.log, self.step, self.rec = [], 0, None

    def report(self, row):
        if self.rec:
            if "eval_loss" in row:
                self.rec.epoch(int(row.pop("epoch")), **row)
        else:
            self.log.append({"epoch": row.pop("epoch"), **row, "step": self.step})
            with open(os.path.join(self.out, "trainer_state.json"), "w") as f:
                json.dump({"epoch": self.epochs, "global_step": self.step, "max_steps": self.total, "log_history": self.log}, f, indent=1)

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        x, y = collate(dev)
        z = self.model(x)
        self.model.train()
        return {"eval_loss": F.cross_entropy(z, y).item(), "eval_accuracy": (z.argmax(1) == y).float().mean().item()}

    def train(self):
        window = []
        for epoch in range(self.epochs):
            rows = list(train)
            if o.fault != "sorted_not_shuffled":
                random.shuffle(rows)
            for k in range(0, len(rows), self.batch):
                x, y = collate(rows[k:k + self.batch])
                loss = F.cross_entropy(self.model(x), y)
                self.optimizer.zero_grad()
                loss.backward()
                norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                lr = self.scheduler.get_last_lr()[0]
                self.scheduler.step()
                self.step += 1
                window.append(loss.item())
                if self.rec:
                    self.rec.step(loss=loss, lr=lr, grad_norm=norm)
                if self.step % 10 == 0:
                    self.report({"epoch": round(self.step * self.batch / len(train), 2), "loss": sum(window) / len(window),
                                 "grad_norm": norm.item(), "learning_rate": lr})
                    window = []
            if o.habit != "few_epochs" or epoch == self.epochs - 1:
                self.report({"epoch": float(epoch + 1), **self.evaluate()})


trainer = Trainer(Classifier(), o.out, epochs=2 if o.habit == "few_epochs" else 6, lr=6e-3 if o.habit == "few_epochs" else 3e-3)
if o.watch:
    import lvmcheck
    with lvmcheck.record(o.out, config={"epochs": trainer.epochs, "labels": 2}) as rec:
        rec.watch(trainer.model, trainer.optimizer, trainer.scheduler)
        trainer.rec = rec
        trainer.train()
else:
    os.makedirs(o.out, exist_ok=True)
    trainer.train()
