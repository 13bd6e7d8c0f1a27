"""Drawn shapes, a small convolutional net with batch norm, SGD and a cosine schedule."""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

from .common import moved, snapshot

TASK = "image classifier with augmentation"


def draw(n, seed):
    rng = np.random.default_rng(seed)
    x, y = np.zeros((n, 16, 16), np.float32), rng.integers(0, 6, n)
    for img, k in zip(x, y):
        a, b, s = rng.integers(1, 6), rng.integers(1, 6), rng.integers(6, 9)
        if k == 0:
            img[a:a + s, b:b + s] = 1
            img[a + 1:a + s - 1, b + 1:b + s - 1] = 0
        elif k == 1:
            img[a:a + s, b:b + s] = 1
        elif k == 2:
            img[a + s // 2, b:b + s] = 1
            img[a:a + s, b + s // 2] = 1
        elif k == 3:
            for i in range(s):
                img[a + i, b + i] = 1
                img[a + i, b + s - 1 - i] = 1
        else:
            for i in range(s):
                d = abs(i - s // 2)
                img[a + i, b + (d if k == 4 else s // 2 - d)] = 1
    x += 0.3 * rng.standard_normal(x.shape)
    return torch.from_numpy(x * 60 + 100)[:, None].float(), torch.from_numpy(y)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.classifier = nn.Sequential(nn.Dropout(0.4), nn.Linear(24 * 16, 6))

    def forward(self, x):
        return self.classifier(self.features(x))


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(1)
    xtr, ytr = draw(1500, 0)
    xva, yva = draw(500, 1)
    mean, std = xtr.mean(), xtr.std()
    xtr = (xtr - mean) / std
    xclean = (xva - mean) / std
    if broken != "val_not_normalised":
        xva = (xva - mean) / std
    if broken == "labels_shuffled":
        ytr = ytr[torch.randperm(len(ytr))]
    if habit == "noisy_labels":
        flip = torch.rand(len(ytr)) < 0.2
        ytr = torch.where(flip, torch.randint(0, 6, ytr.shape), ytr)
    train_loader = DataLoader(TensorDataset(xtr, ytr), batch_size=64, shuffle=True)
    val_loader = DataLoader(TensorDataset(xva, yva), batch_size=100)
    model = Net()
    before = snapshot(model.classifier)
    lr = {"lr_too_high": 8.0}.get(broken, 0.05)
    epochs = 6
    params = model.features.parameters() if broken == "head_not_in_optimizer" else model.parameters()
    optimizer = torch.optim.SGD(params, lr=lr, momentum=0.9, weight_decay=1e-4)
    if habit == "warm_restarts":
        scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    else:
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.2 if habit == "label_smoothing" else 0.0)
    modes, losses = [], []

    def augment(x):
        x = torch.roll(x, (int(torch.randint(-1, 2, ())), int(torch.randint(-1, 2, ()))), (2, 3))
        if broken == "flip_changes_class":
            flip = torch.rand(len(x)) < 0.5
            x = torch.where(flip[:, None, None, None], x.flip(3), x)
        return x

    with lvmcheck.record(rec_dir, config={"epochs": epochs, "lr": lr, "batch_size": 64, "arch": "smallconv"}) as rec:
        if watch:
            print(lvmcheck.preflight(model, next(iter(train_loader)), loss=criterion, optimizer=optimizer))
            w = rec.watch(model, optimizer, scheduler, train=train_loader, val=val_loader)
            train_loader, val_loader = w.train, w.val
        if broken == "eval_mode_while_training":
            model.eval()
        acc = 0.0
        for epoch in range(1, epochs + 1):
            if broken != "eval_mode_while_training":
                model.train()
            seen, total, correct = 0, 0.0, 0
            for x, y in train_loader:
                x = augment(x)
                if habit == "mixup":
                    lam, perm = float(np.random.default_rng(epoch).beta(0.4, 0.4)), torch.randperm(len(x))
                    out = model(lam * x + (1 - lam) * x[perm])
                    loss = lam * criterion(out, y) + (1 - lam) * criterion(out, y[perm])
                else:
                    out = model(x)
                    loss = criterion(out.softmax(1) if broken == "softmax_before_loss" else out, y)
                if broken != "gradients_never_cleared":
                    optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                modes.append(model.training)
                losses.append(loss.item())
                rec.step(loss=loss, lr=scheduler.get_last_lr()[0])
                total += loss.item() * len(x)
                correct += (out.argmax(1) == y).sum().item()
                seen += len(x)
            scheduler.step()
            if habit == "no_validation":
                rec.epoch(epoch, train_loss=total / seen, train_acc=correct / seen)
                continue
            if broken != "validates_in_train_mode":
                model.eval()
            vl, vc, vn = 0.0, 0, 0
            with torch.no_grad():
                for x, y in val_loader:
                    out = model(x)
                    vl += F.cross_entropy(out, y, reduction="sum").item()
                    vc += (out.argmax(1) == y).sum().item()
                    vn += len(y)
            acc = vc / vn
            rec.epoch(epoch, train_loss=total / seen, train_acc=correct / seen, val_loss=vl / vn, val_acc=acc)
    was = model.training
    model.eval()
    with torch.no_grad():
        score = (model(xclean).argmax(1) == yva).float().mean().item()
    return dict(score=score, trivial=1 / 6, good=0.65, reported=acc if habit != "no_validation" else None,
                head=moved(before, model.classifier), trained_in_train_mode=all(modes), val_in_train_mode=was, lowest=min(losses))


HEALTHY = {
    "base": "small convolutional net, shifts as augmentation, cosine schedule",
    "label_smoothing": "label smoothing of 0.2 keeps the training loss far above zero",
    "warm_restarts": "cosine schedule with warm restarts",
    "mixup": "mixup makes training look worse than validation",
    "no_validation": "no validation at all",
    "noisy_labels": "a fifth of the training labels is noise, validation is clean",
}
BROKEN = [
    ("head_not_in_optimizer", "the optimizer gets the parameters of the features only", "part of the model is missing from the optimizer", "watch", "r['head']==0"),
    ("softmax_before_loss", "softmax is applied before the cross entropy that applies it again", "softmax twice", "both", "r['lowest']>1.0"),
    ("validates_in_train_mode", "model.eval() is missing before validation", "validation runs in train mode", "watch", "r['val_in_train_mode']"),
    ("lr_too_high", "learning rate 8 in place of 0.05", "learning rate far too high", "both"),
    ("gradients_never_cleared", "optimizer.zero_grad() is missing", "gradients are never cleared", "both"),
    ("labels_shuffled", "training labels are permuted apart from the images", "labels do not belong to their inputs", "both"),
    ("val_not_normalised", "validation images are not normalised", "validation data are preprocessed differently from training data", "both"),
    ("flip_changes_class", "random horizontal flips turn left arrows into right ones", "augmentation changes the class", "curves", "r['score']<b['score']-0.05"),
    ("eval_mode_while_training", "model.eval() before the loop and never model.train()", "trains in eval mode", "watch", "not r['trained_in_train_mode']"),
]
