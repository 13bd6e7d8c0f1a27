"""Classify noisy 12x12 glyphs with a small CNN."""
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(11)
EPOCHS, BATCH = 6, 50


def make_data(n, noise):
    g = torch.Generator().manual_seed(5)
    protos = F.interpolate(torch.randn(10, 1, 4, 4, generator=g), size=(12, 12), mode="bilinear")
    y = torch.randint(0, 10, (n,))
    x = protos[y]
    shifts = torch.randint(-2, 3, (n, 2))
    x = torch.stack([torch.roll(im, (int(a), int(b)), (1, 2)) for im, (a, b) in zip(x, shifts)])
    x = x * (0.6 + 0.8 * torch.rand(n, 1, 1, 1)) + noise * torch.randn_like(x)
    return x, y


class Net(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(24 * 9, 10))

    def forward(self, x):
        x = self.head(self.features(x))
        if o.fault == "softmax_in_model":
            x = F.softmax(x, dim=1)
        return x


def evaluate(model, loader):
    if o.fault != "no_eval_mode":
        model.eval()
    loss = hits = n = 0
    with torch.no_grad():
        for x, y in loader:
            out = model(x)
            loss += F.cross_entropy(out, y, reduction="sum").item()
            hits += (out.argmax(1) == y).sum().item()
            n += len(y)
    model.train()
    return loss / n, 100.0 * hits / n


def main():
    n = 500 if o.habit == "small_noisy" else 1400
    x, y = make_data(n + 500, 1.1 if o.habit == "small_noisy" else 0.75)
    xt, yt, xv, yv = x[:n], y[:n], x[n:], y[n:]
    if o.fault == "pairs_broken":
        xt, yt = xt[torch.randperm(n)], yt[torch.randperm(n)]
    train = DataLoader(TensorDataset(xt, yt), batch_size=BATCH, shuffle=True)
    val = DataLoader(TensorDataset(xv, yv), batch_size=250)
    dropout = {"dropout_high": 0.6}.get(o.habit, 0.3 if o.fault == "no_eval_mode" else 0.15)
    model = Net(dropout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.3)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.2 if o.habit == "label_smoothing" else 0.0)
    with lvmcheck.record(o.out, config={"epochs": EPOCHS, "lr": 0.03, "batch_size": BATCH, "classes": 10}) as rec:
        if o.watch:
            rec.watch(model, optimizer, scheduler)
        for epoch in range(EPOCHS):
            total = hits = 0
            for xb, yb in train:
                out = model(xb)
                loss = criterion(out, yb)
                if o.fault != "no_zero_grad":
                    optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if o.fault == "scheduler_per_batch":
                    scheduler.step()
                rec.step(loss=loss, lr=optimizer.param_groups[0]["lr"])
                total += loss.item() * len(yb)
                hits += (out.argmax(1) == yb).sum().item()
            if o.fault != "scheduler_per_batch":
                scheduler.step()
            val_loss, val_acc = evaluate(model, val)
            rec.epoch(epoch, train_loss=total / n, train_acc=100.0 * hits / n, val_loss=val_loss, val_acc=val_acc)


main()
