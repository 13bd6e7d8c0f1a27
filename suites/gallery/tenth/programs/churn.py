"""Churn of telephone customers: a table of mixed columns, embeddings and an MLP."""
import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

import lvmcheck

CATEGORIES = {"plan": ["basic", "plus", "family", "business"], "region": [f"r{i:02d}" for i in range(14)],
              "payment": ["card", "transfer", "invoice", "voucher", "cash"], "device": [f"d{i}" for i in range(8)]}
NUMBERS = ["tenure", "monthly", "total", "calls", "gigabytes", "idle_days"]


def customers(n, rng):
    cat = {k: rng.choice(v, n) for k, v in CATEGORIES.items()}
    tenure = rng.gamma(2.0, 14.0, n)
    monthly = rng.normal(55, 18, n).clip(8)
    calls = rng.poisson(1.6, n).astype(float)
    gigabytes = rng.lognormal(2.2, 1.0, n)
    idle = rng.exponential(9.0, n)
    plan = np.array([{"basic": 0.5, "plus": 0.0, "family": -0.7, "business": -0.3}[p] for p in cat["plan"]])
    region = np.array([0.7 * math.sin(1.7 * CATEGORIES["region"].index(r)) for r in cat["region"]])
    pay = np.array([{"card": -0.4, "transfer": -0.2, "invoice": 0.2, "voucher": 1.1, "cash": 0.6}[p] for p in cat["payment"]])
    score = (-1.9 + 1.3 * plan + region + pay - 0.035 * (tenure - 28) + 0.022 * (monthly - 55) * (cat["plan"] == "basic")
             + 0.55 * (calls - 1.6) + 0.09 * (idle - 9) - 0.5 * (np.log(gigabytes) - 2.2))
    churn = (rng.random(n) < 1 / (1 + np.exp(-1.3 * score))).astype(np.float32)
    num = np.stack([tenure, monthly, tenure * monthly, calls, gigabytes, idle], 1)
    return cat, num, churn


class Preprocessor:
    """Medians, means and deviations of the training rows; vocabularies of the categories."""

    def fit(self, cat, num, fault):
        self.median = np.nanmedian(num, 0)
        filled = self.fill(num)
        axis = 1 if fault == "scaled_by_row" else 0
        self.mean, self.std = filled.mean(axis, keepdims=True), filled.std(axis, keepdims=True)
        self.vocab = {k: {c: i + 1 for i, c in enumerate(dict.fromkeys(v))} for k, v in cat.items()}
        return self

    def fill(self, num):
        return np.where(np.isnan(num), self.median, num)

    def numbers(self, num, fault):
        missing = np.isnan(num).astype(np.float32)
        values = num if fault == "missing_kept" else self.fill(num)
        if fault == "raw_numbers":
            scaled = values
        elif fault == "scaled_by_row":
            scaled = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
        else:
            scaled = (values - self.mean) / self.std
        return torch.tensor(np.concatenate([scaled, missing], 1), dtype=torch.float32)

    def codes(self, cat):
        return torch.tensor(np.stack([[self.vocab[k].get(c, 0) for c in v] for k, v in cat.items()], 1))


class Customers(Dataset):
    def __init__(self, codes, numbers, churn):
        self.codes, self.numbers, self.churn = codes, numbers, churn

    def __len__(self):
        return len(self.churn)

    def __getitem__(self, i):
        return self.codes[i], self.numbers[i], self.churn[i]


class ChurnNet(nn.Module):
    def __init__(self, sizes, n_numbers, dim=6, hidden=64, fault=None):
        super().__init__()
        tables = [nn.Embedding(s, dim) for s in sizes]
        self.embeddings = tables if fault == "list_of_tables" else nn.ModuleList(tables)
        self.body = nn.Sequential(nn.Linear(dim * len(sizes) + n_numbers, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.2),
                                  nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(hidden, 1)
        self.fault = fault

    def forward(self, codes, numbers):
        parts = [table(codes[:, i]) for i, table in enumerate(self.embeddings)]
        out = self.head(self.body(torch.cat([*parts, numbers], 1)))
        if self.fault == "sigmoid_in_model":
            out = torch.sigmoid(out)
        return out if self.fault == "column_against_row" else out.squeeze(1)


def auc(scores, labels):
    order = torch.argsort(scores)
    rank = torch.empty(len(scores), dtype=torch.float64)
    rank[order] = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    pos = labels == 1
    n, m = pos.sum().item(), (~pos).sum().item()
    return ((rank[pos].sum() - n * (n + 1) / 2) / (n * m)).item()


def f1(scores, labels, threshold=0.0):
    guess = scores > threshold
    tp = (guess & (labels == 1)).sum().item()
    return 2 * tp / max(1, guess.sum().item() + (labels == 1).sum().item())


def loss_of(logits, churn, weight):
    p = torch.sigmoid(logits).clamp(1e-6, 1 - 1e-6)
    return -(weight * churn * p.log() + (1 - churn) * (1 - p).log()).mean()


def evaluate(model, loader, weight, fault):
    model.eval()
    scores, labels, total, seen = [], [], 0.0, 0
    with torch.no_grad():
        for codes, numbers, churn in loader:
            logits = model(codes, numbers)
            total += loss_of(logits, churn, weight).item() * len(churn)
            seen += len(churn)
            scores.append(logits.flatten())
            labels.append(churn)
    scores, labels = torch.cat(scores), torch.cat(labels)
    if fault == "scores_out_of_order":
        labels = loader.dataset.churn
    if fault != "stays_in_eval":
        model.train()
    return total / seen, auc(scores, labels), f1(scores, labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("outdir")
    parser.add_argument("--fault")
    parser.add_argument("--habit")
    args = parser.parse_args()
    fault, habit = args.fault, args.habit
    torch.set_num_threads(1)
    torch.manual_seed(11)
    rng = np.random.default_rng(11)
    cat, num, churn = customers(7000 if habit == "rare_positives" else 4200, rng)
    if fault == "account_closed":
        closed = np.where(churn == 1, rng.integers(1, 30, len(churn)), 0)
        num = np.concatenate([num, closed[:, None]], 1)
    num[rng.random(num.shape) < 0.06] = np.nan
    if habit == "rare_positives":
        keep = (churn == 0) | (rng.random(len(churn)) < 0.4)
        cat, num, churn = {k: v[keep] for k, v in cat.items()}, num[keep], churn[keep]
    order = rng.permutation(len(churn))
    cut = int(0.75 * len(churn))
    first, last = order[:cut], order[cut:]
    rows = lambda ids: ({k: v[ids] for k, v in cat.items()}, num[ids], torch.tensor(churn[ids]))
    train_cat, train_num, train_y = rows(first)
    val_cat, val_num, val_y = rows(last)
    if fault == "labels_by_table_order":
        train_y = torch.tensor(churn[:cut])
    prep = Preprocessor().fit(train_cat, train_num, fault)
    val_prep = Preprocessor().fit(val_cat, val_num, fault) if fault == "fitted_twice" else prep
    train = Customers(prep.codes(train_cat), prep.numbers(train_num, fault), train_y)
    val = Customers(val_prep.codes(val_cat), val_prep.numbers(val_num, fault), val_y)
    train_loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
    val_loader = DataLoader(val, batch_size=256, shuffle=fault == "scores_out_of_order")

    positives = train_y.mean()
    weight = positives / (1 - positives) if fault == "weight_upside_down" else (1 - positives) / positives
    if habit != "rare_positives" and fault != "weight_upside_down":
        weight = torch.tensor(1.0)
    sizes = [len(v) + 1 for v in prep.vocab.values()]
    model = ChurnNet(sizes, train.numbers.shape[1], fault=fault)
    epochs, rate = 10, 3e-3
    if fault == "head_forgotten":
        params = [*model.embeddings.parameters(), *model.body.parameters()]
    elif habit == "groups_without_decay":
        flat = [p for p in model.parameters() if p.ndim < 2] + list(model.embeddings.parameters())
        ids = {id(p) for p in flat}
        params = [{"params": flat, "weight_decay": 0.0, "lr": 3 * rate}, {"params": [p for p in model.parameters() if id(p) not in ids]}]
    else:
        params = model.parameters()
    optimizer = torch.optim.AdamW(params, lr=rate, weight_decay=1e-2)
    if fault == "model_rebuilt":
        model = ChurnNet(sizes, train.numbers.shape[1], hidden=64)
    total_steps = epochs * len(train_loader)
    span = epochs if fault == "cosine_in_epochs" else total_steps
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, span)

    with lvmcheck.record(args.outdir, config={"lr": rate, "epochs": epochs, "batch_size": 64}, seed=11) as rec:
        for epoch in range(1, epochs + 1):
            model.train(fault != "stays_in_eval" or epoch == 1)
            running = 0.0
            for codes, numbers, y in train_loader:
                if habit == "bfloat16":
                    with torch.autocast("cpu", dtype=torch.bfloat16):
                        logits = model(codes, numbers)
                    logits = logits.float()
                else:
                    logits = model(codes, numbers)
                loss = loss_of(logits, y, weight)
                if fault == "ridge_of_everything":
                    loss = loss + sum(p.pow(2).sum() for p in model.parameters())
                optimizer.zero_grad()
                loss.backward()
                if fault == "cleared_again":
                    optimizer.zero_grad()
                optimizer.step()
                rec.step(loss=loss, lr=optimizer.param_groups[0]["lr"], samples=len(y))
                scheduler.step()
                running += loss.item()
            val_loss, val_auc, val_f1 = evaluate(model, val_loader, weight, fault)
            rec.epoch(epoch, train_loss=running / len(train_loader), val_loss=val_loss, val_auc=val_auc, val_f1=val_f1)


if __name__ == "__main__":
    main()
