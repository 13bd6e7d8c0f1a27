"""Learning under conditions: little, growing, harder, noisy or streaming data."""
import argparse
import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset, TensorDataset

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="resumed")
a = p.parse_args()
torch.manual_seed(16)
torch.set_num_threads(1)

CLASSES = 5
mixing = torch.randn(10, 36) / 10**0.5
angle = torch.randn(CLASSES, 10) * 1.1


def rows(n, blur=0.6, y=None):
    y = torch.randint(0, CLASSES, (n,)) if y is None else y
    h = angle[y] + blur * torch.randn(len(y), 10)
    return torch.tanh(1.5 * h @ mixing) + 0.3 * torch.randn(len(y), 36), y


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(36, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, CLASSES))

    def forward(self, x):
        return self.layers(x)


class Stream(IterableDataset):
    def __init__(self, batches, drift):
        self.batches, self.drift = batches, drift

    def __iter__(self):
        for i in range(self.batches):
            x, y = rows(32)
            yield x + self.drift * i / self.batches * torch.sin(torch.arange(36.0)), y


def make():
    model = Net()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)


def train_epoch(rec, model, optimizer, loader):
    model.train()
    total = n = 0
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rec.step(loss=loss, samples=len(x))
        total, n = total + loss.item() * len(x), n + len(x)
    return total / n


@torch.no_grad()
def test(model, x, y):
    model.eval()
    out = model(x)
    return F.cross_entropy(out, y).item(), (out.argmax(1) == y).float().mean().item()


def loader_of(x, y, batch=32):
    return DataLoader(TensorDataset(x, y), batch_size=batch, shuffle=True)


with lvmcheck.record(a.out, config={"situation": a.habit}, seed=16) as rec:
    xv, yv = rows(800)
    if a.habit == "folds":  # each fold begins anew
        x, y = rows(150)
        order, scores = torch.randperm(150), []
        for fold in range(5):
            held = order[fold * 30 : fold * 30 + 30]
            rest = torch.cat([order[: fold * 30], order[fold * 30 + 30 :]])
            model, optimizer = make()
            for _ in range(12):
                train_epoch(rec, model, optimizer, loader_of(x[rest], y[rest], 10))
            loss, accuracy = test(model, x[held], y[held])
            scores.append(accuracy)
            rec.epoch(fold, fold_loss=loss, fold_accuracy=accuracy)
        rec.log(cv_accuracy=sum(scores) / 5)
    elif a.habit == "active":  # ask for labels of what is least certain
        x, y = rows(3000)
        known = torch.zeros(3000, dtype=torch.bool)
        known[torch.randperm(3000)[:60]] = True
        model, optimizer = make()
        for turn in range(14):
            loader = loader_of(x[known], y[known])
            loss = sum(train_epoch(rec, model, optimizer, loader) for _ in range(4)) / 4
            val_loss, accuracy = test(model, xv, yv)
            rec.epoch(turn, train_loss=loss, val_loss=val_loss, val_accuracy=accuracy, labelled=known.sum())
            with torch.no_grad():
                top = F.softmax(model(x), 1).topk(2, 1).values
            doubt = (top[:, 0] - top[:, 1]).masked_fill(known, 9.0)
            known[doubt.argsort()[:60]] = True
    elif a.habit == "curriculum":  # blurrier rows from epoch to epoch
        model, optimizer = make()
        rec.watch(model, optimizer, train=loader_of(*rows(1280, 0.1)), val=loader_of(xv, yv))
        for epoch in range(1, 15):
            loss = train_epoch(rec, model, optimizer, loader_of(*rows(1280, min(0.75, 0.1 + 0.07 * epoch))))
            val_loss, accuracy = test(model, xv, yv)
            rec.epoch(epoch, train_loss=loss, val_loss=val_loss, val_accuracy=accuracy)
    elif a.habit in ("stream", "drift"):  # one pass, each row once; tested before it is trained on
        model, optimizer = make()
        window, right, seen = [], 0, 0
        for i, (x, y) in enumerate(DataLoader(Stream(900, 3.0 if a.habit == "drift" else 0.0), batch_size=None)):
            model.eval()
            with torch.no_grad():
                right, seen = right + int((model(x).argmax(1) == y).sum()), seen + len(y)
            model.train()
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss)
            if i % 60 == 59:
                rec.log(prequential_accuracy=right / seen)
                right = seen = 0
    elif a.habit == "noisy_labels":  # three of ten labels are drawn; the validation labels are right
        x, y = rows(2560)
        wrong = torch.rand(2560) < 0.3
        y = torch.where(wrong, torch.randint(0, CLASSES, (2560,)), y)
        model, optimizer = make()
        optimizer.param_groups[0]["weight_decay"] = 0.1
        for epoch in range(1, 9):
            loss = train_epoch(rec, model, optimizer, loader_of(x, y, 64))
            val_loss, accuracy = test(model, xv, yv)
            rec.epoch(epoch, train_loss=loss, val_loss=val_loss, val_accuracy=accuracy)
    elif a.habit == "replayed":  # classes come one after another, with a memory of earlier rows
        model, optimizer = make()
        past = []
        for part in range(CLASSES):
            fresh = TensorDataset(*rows(400, y=torch.full((400,), part)))
            # every class seen so far has as many rows as the new one
            loader = DataLoader(ConcatDataset([fresh, *past]), batch_size=40, shuffle=True)
            for i in range(3):
                loss = train_epoch(rec, model, optimizer, loader)
                seen = yv <= part
                rec.epoch(part * 3 + i, train_loss=loss, accuracy_all=test(model, xv, yv)[1], accuracy_seen=test(model, xv[seen], yv[seen])[1])
            past.append(Subset(fresh, range(400)))
    elif a.habit == "several_sets":  # an easier, an equal and a harder set
        x, y = rows(1920)
        sets = {"clear": rows(500, 0.3), "same": (xv, yv), "blurred": rows(500, 0.9), "train": (x[:500], y[:500])}
        model, optimizer = make()
        for epoch in range(1, 10):
            train_epoch(rec, model, optimizer, loader_of(x, y))
            figures = {}
            for name, (xs, ys) in sets.items():
                figures[f"{name}/loss"], figures[f"{name}/accuracy"] = test(model, xs, ys)
            rec.epoch(epoch, **figures)
    elif a.habit == "easier_validation":
        loader = loader_of(*rows(1920, 1.0))
        easy = rows(600, 0.4)
        model, optimizer = make()
        for epoch in range(1, 13):
            loss = train_epoch(rec, model, optimizer, loader)
            val_loss, accuracy = test(model, *easy)
            rec.epoch(epoch, train_loss=loss, val_loss=val_loss, val_accuracy=accuracy)
    elif a.habit == "resumed":  # a checkpoint in the middle, everything made anew from it
        loader = loader_of(*rows(1920))
        model, optimizer = make()
        for epoch in range(1, 13):
            if epoch == 7:
                state = copy.deepcopy({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
                model, optimizer = make()
                model.load_state_dict(state["model"])
                optimizer.load_state_dict(state["optimizer"])
            loss = train_epoch(rec, model, optimizer, loader)
            val_loss, accuracy = test(model, xv, yv)
            rec.epoch(epoch, train_loss=loss, val_loss=val_loss, val_accuracy=accuracy)
    elif a.habit == "members":  # five members trained side by side, judged together
        loader = loader_of(*rows(1280))
        team = [make() for _ in range(4)]
        for epoch in range(1, 11):
            loss = sum(train_epoch(rec, m, o, loader) for m, o in team) / 4
            for m, _ in team:
                m.eval()
            with torch.no_grad():
                prob = torch.stack([F.softmax(m(xv), 1) for m, _ in team]).mean(0)
            rec.epoch(epoch, train_loss=loss, ensemble_nll=F.nll_loss(prob.log(), yv), ensemble_accuracy=(prob.argmax(1) == yv).float().mean())
