"""Who leaves next month? 5 % do. A net with batch norm over numbers and two embedded categories."""

import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset, WeightedRandomSampler

import lvmcheck
from common import options

o = options()


def make_customers(n, seed):
    g = torch.Generator().manual_seed(seed)
    numbers = torch.randn(n, 14, generator=g)
    numbers[:, 3] = numbers[:, 3].exp()
    plan, town = torch.randint(0, 6, (n,), generator=g), torch.randint(0, 60, (n,), generator=g)
    w = torch.Generator().manual_seed(17)
    of_plan, of_town = torch.randn(6, generator=w), 0.5 * torch.randn(60, generator=w)
    score = 0.9 * numbers[:, 0] - 0.8 * numbers[:, 1] * (numbers[:, 2] > 0) + 0.5 * numbers[:, 3].log() * numbers[:, 4]
    score = 1.8 * (score + of_plan[plan] + of_town[town]) - 4.8
    y = (torch.rand(n, generator=g) < torch.sigmoid(score)).float()
    return numbers, torch.stack([plan, town], 1), y


class ChurnNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.plan, self.town = nn.Embedding(6, 3), nn.Embedding(60, 6)
        width = 14 + 9
        self.body = nn.Sequential(
            nn.Linear(width, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 32), nn.ReLU()
        )
        self.head = nn.Linear(32, 1)
        nn.init.constant_(self.head.bias, -2.5)

    def forward(self, numbers, categories):
        x = torch.cat([numbers, self.plan(categories[:, 0]), self.town(categories[:, 1])], 1)
        x = self.head(self.body(x)).squeeze(1)
        if o.fault == "sigmoid_in_model":
            x = torch.sigmoid(x)
        return x


def auc(score, y):
    rank = torch.empty_like(score)
    rank[score.argsort()] = torch.arange(1, len(score) + 1, dtype=score.dtype)
    pos = y.sum()
    return ((rank[y == 1].sum() - pos * (pos + 1) / 2) / (pos * (len(y) - pos))).item()


def f1(score, y):
    hit = score > 0
    if o.fault == "sigmoid_in_model":
        hit = score > 0.5
    tp = (hit & (y == 1)).sum().item()
    return 2 * tp / max(1, hit.sum().item() + y.sum().item())


def run_epoch(model, loader, criterion, optimizer=None, rec=None):
    total, scores, targets = 0.0, [], []
    for numbers, categories, y in loader:
        out = model(numbers, categories)
        loss = criterion(out, y)
        if o.habit == "focal_loss":
            p = torch.exp(-loss)
            loss = ((1 - p) ** 2 * loss).mean()
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if rec is not None:
                rec.step(loss=loss.item(), lr=optimizer.param_groups[0]["lr"])
        total += loss.item() * len(y)
        scores.append(out.detach())
        targets.append(y)
    scores, targets = torch.cat(scores), torch.cat(targets)
    return total / len(targets), auc(scores, targets), f1(scores, targets)


def main():
    torch.manual_seed(23)
    n = 1600 if o.fault == "best_by_reference" or o.habit == "early_stopping" else 5000
    numbers, categories, y = make_customers(n + 1500, 4)
    data = TensorDataset(numbers, categories, y)
    if o.fault == "oversampled_before_split":
        rows = torch.cat([torch.arange(len(y)), (y == 1).nonzero().flatten().repeat(5)])
        rows = rows[torch.randperm(len(rows))]
        train, val = Subset(data, rows[: len(rows) - 1500].tolist()), Subset(data, rows[len(rows) - 1500 :].tolist())
    else:
        rows = torch.randperm(len(y))
        train, val = Subset(data, rows[:n].tolist()), Subset(data, rows[n:].tolist())
    train_y = y[torch.tensor(train.indices)]
    ratio = (train_y == 0).sum() / (train_y == 1).sum()
    sampler = None
    if o.habit == "balanced_sampler":
        weight = torch.where(train_y == 1, ratio, torch.ones(()))
        sampler = WeightedRandomSampler(weight, len(weight))
    loaders = DataLoader(train, 100, shuffle=sampler is None, sampler=sampler), DataLoader(val, 500)

    pos_weight = ratio / 2 if not (sampler or o.habit == "focal_loss" or o.fault == "oversampled_before_split") else None
    if o.fault == "weight_upside_down":
        pos_weight = 1 / ratio
    criterion = nn.BCEWithLogitsLoss(pos_weight=pos_weight, reduction="none" if o.habit == "focal_loss" else "mean")
    model = ChurnNet()
    epochs, lr = (14, 4e-3) if n < 2000 else (7, 1e-3)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    wrong_way = o.fault == "plateau_mode_max"
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max" if wrong_way else "min", factor=0.3, patience=0 if wrong_way else 1
    )
    best, best_state, bad = float("inf"), None, 0
    config = {"epochs": epochs, "lr": lr, "batch_size": 100, "select": "val_loss"}
    with lvmcheck.record(o.out, config=config, **o.record) as rec:
        for epoch in range(1, epochs + 1):
            model.train()
            train_loss, train_auc, _ = run_epoch(model, loaders[0], criterion, optimizer, rec)
            if o.fault == "trains_on_validation":  # the same call for both
                model.train()
                val_loss, val_auc, val_f1 = run_epoch(model, loaders[1], criterion, optimizer)
            else:
                model.eval()
                with torch.no_grad():
                    val_loss, val_auc, val_f1 = run_epoch(model, loaders[1], criterion)
            if n >= 2000:
                scheduler.step(val_loss)
            rec.epoch(epoch, train_loss=train_loss, train_auc=train_auc, val_loss=val_loss, val_auc=val_auc, dev_f1=val_f1)
            if val_loss < best:
                best, bad = val_loss, 0
                if o.fault == "best_by_reference":
                    best_state = model.state_dict()
                else:
                    best_state = copy.deepcopy(model.state_dict())
            else:
                bad += 1
            if o.habit == "early_stopping" and bad >= 3:
                break
        model.load_state_dict(best_state)
        model.eval()
        with torch.no_grad():
            loss, area, score = run_epoch(model, loaders[1], criterion)
        rec.log(best_val_loss=loss, best_val_auc=area, best_dev_f1=score)


if __name__ == "__main__":
    main()
