"""Classify drawn shapes with a small convolutional network."""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

import lvmcheck
from common import options

torch.set_num_threads(1)
o = options()

CLASSES = ["disc", "ring", "square", "hbar", "vbar", "slash", "backslash", "plus", "left", "right"]
SHARE = np.array([0.18, 0.14, 0.12, 0.11, 0.10, 0.09, 0.08, 0.07, 0.06, 0.05])
SIZE = 16


class Config:
    epochs = 9
    batch_size = 64
    lr = 0.05
    momentum = 0.9
    weight_decay = 5e-4
    dropout = 0.3
    rows = 2100
    seed = 3


cfg = Config()
if o.fault == "lr_high":
    cfg.lr = 1.5
if o.fault == "lr_low":
    cfg.lr = 5e-5
if o.fault == "weight_decay_adamw":
    cfg.weight_decay = 0.1
if o.fault == "keep_prob":
    cfg.dropout = 0.9
if o.habit == "small_noisy":
    cfg.rows, cfg.epochs = 520, 14
if o.habit == "warm_restarts":
    cfg.epochs = 14
if o.habit == "big_batch":
    cfg.batch_size, cfg.lr, cfg.epochs = 390, 0.15, 16
if o.habit == "high_dropout":
    cfg.dropout = 0.65
if o.habit == "early_stop":
    cfg.epochs = 40
    cfg.lr = 0.02


# ---------------------------------------------------------------- data
def draw(kind, n, rng):
    """n images of one kind, uint8."""
    yy, xx = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    cx, cy = rng.uniform(6, 9.5, (2, n, 1, 1)).astype(np.float32)
    r = rng.uniform(3.2, 5.4, (n, 1, 1)).astype(np.float32)
    t = rng.uniform(0.7, 1.3, (n, 1, 1)).astype(np.float32)
    dx, dy = xx - cx, yy - cy
    inside = np.maximum(abs(dx), abs(dy)) < r
    radius = np.sqrt(dx**2 + dy**2)
    mask = {
        "disc": radius < r * 0.85,
        "ring": abs(radius - r * 0.9) < t,
        "square": abs(np.maximum(abs(dx), abs(dy)) - r * 0.85) < t * 0.8,
        "hbar": (abs(dy) < t) & inside,
        "vbar": (abs(dx) < t) & inside,
        "slash": (abs(dx + dy) < t * 1.4) & inside,
        "backslash": (abs(dx - dy) < t * 1.4) & inside,
        "plus": ((abs(dx) < t) | (abs(dy) < t)) & inside,
        "left": (abs(dy) < (dx + r) / 2) & inside,
        "right": (abs(dy) < (r - dx) / 2) & inside,
    }[kind].astype(np.float32)
    ink = rng.uniform(90, 170, (n, 1, 1))
    images = 50 + mask * ink + rng.normal(0, 46, mask.shape)
    for image in images:  # a stroke that means nothing
        a, b = rng.integers(0, SIZE - 5, 2)
        if rng.random() < 0.5:
            image[a, b : b + 5] += 80
        else:
            image[b : b + 5, a] += 80
    return images.clip(0, 255).astype(np.uint8)


def make_rows(rows, seed):
    rng = np.random.default_rng(seed)
    counts = (SHARE * rows).astype(int)
    x = np.concatenate([draw(kind, n, rng) for kind, n in zip(CLASSES, counts)])
    y = np.repeat(np.arange(len(CLASSES)), counts)
    wrong = rng.random(len(y)) < (0.12 if o.habit == "small_noisy" else 0.04)  # annotators err
    y = np.where(wrong, rng.integers(0, len(CLASSES), len(y)), y)
    return x, y


class Shapes(Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Prepare:
    """Makes a batch of images; moves and scales them."""

    def __init__(self, augment, normalise=True):
        self.augment, self.normalise = augment, normalise

    def __call__(self, items):
        images = np.stack([image for image, _ in items])
        labels = torch.tensor([int(label) for _, label in items])
        n = len(images)
        if self.augment:
            dy, dx = np.random.randint(-1, 2, (2, n, 1, 1))
            rows, columns = np.arange(SIZE)[None, :, None], np.arange(SIZE)[None, None, :]
            images = images[np.arange(n)[:, None, None], (rows - dy) % SIZE, (columns - dx) % SIZE]
            if o.fault == "flips":
                flipped = np.random.rand(n) < 0.5
                images[flipped] = images[flipped][:, :, ::-1]
            if o.fault == "aug_on_val":
                for image, (top, left) in zip(images, np.random.randint(0, 8, (n, 2))):
                    image[top : top + 8, left : left + 8] = 0
            if o.fault == "uint8_brightness":
                images = images + np.random.randint(0, 120, (n, 1, 1)).astype(np.uint8)
        images = torch.from_numpy(images.astype(np.float32))[:, None]
        if self.normalise:
            images = images / 255
            if o.fault == "scaled_twice":
                images = images / 255
            else:
                images = (images - 0.3) / 0.22
        return images, labels


def make_loaders():
    x, y = make_rows(cfg.rows, cfg.seed)
    rng = np.random.default_rng(cfg.seed + 1)
    order = rng.permutation(len(y))
    if o.fault == "split_sorted":
        order = np.arange(len(y))
    x, y = x[order], y[order]
    if o.fault == "labels_permuted":
        x = x[rng.permutation(len(y))]
    if o.fault == "oversample_before_split":
        rare = np.flatnonzero(y >= 3)
        more = np.concatenate([np.arange(len(y)), rng.choice(rare, 1800)])
        rng.shuffle(more)
        x, y = x[more], y[more]
    cut = int(0.75 * len(y))
    xt, yt, xv, yv = x[:cut], y[:cut], x[cut:], y[cut:]
    if o.fault == "val_label_order":
        names = sorted(CLASSES)
        yv = np.array([names.index(CLASSES[k]) for k in yv])
    if o.fault == "val_is_train":
        xv, yv = xt, yt
    if o.fault == "debug_subset":
        xt, yt = xt[:96], yt[:96]
    if o.fault == "sorted_no_shuffle":
        by_class = np.argsort(yt, kind="stable")
        xt, yt = xt[by_class], yt[by_class]
    train, val = Shapes(xt, yt), Shapes(xv, yv)
    moved = Prepare(augment=True)
    plain = moved if o.fault == "aug_on_val" else Prepare(augment=False, normalise=o.fault != "val_not_normalised")
    sampler = None
    if o.fault == "sampler_class_weights":
        sampler = WeightedRandomSampler(torch.tensor(1 / np.bincount(yt)), len(yt))
    if o.fault == "sorted_no_shuffle":
        train_loader = DataLoader(train, cfg.batch_size, collate_fn=moved)
    else:
        train_loader = DataLoader(
            train, cfg.batch_size, shuffle=sampler is None, sampler=sampler, drop_last=True, collate_fn=moved
        )
    return train_loader, DataLoader(val, 128, collate_fn=plain), yt


# ---------------------------------------------------------------- model
class ShapeNet(nn.Module):
    def __init__(self, classes=10, dropout=0.3):
        super().__init__()
        bn = {"momentum": 0.001} if o.fault == "bn_momentum" else {}
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1),
            nn.BatchNorm2d(12, **bn),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1),
            nn.BatchNorm2d(24, **bn),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.fc1 = nn.Linear(24 * 16, 64)
        self.fc2 = nn.Linear(64, classes)
        self.dropout = nn.Dropout(dropout)
        if o.fault == "init_constant":
            nn.init.constant_(self.fc1.weight, 0.01)
            nn.init.constant_(self.fc2.weight, 0.01)

    def forward(self, x):
        x = self.features(x)
        if o.fault == "rows_mixed":
            x = x.permute(1, 0, 2, 3).reshape(x.shape[0], -1)
        else:
            x = x.flatten(1)
        x = F.relu(self.fc1(x))
        x = self.fc2(self.dropout(x))
        if o.fault == "softmax_in_model":
            x = F.softmax(x, dim=1)
        if o.fault == "relu_logits":
            x = F.relu(x)
        return x


class SignMomentum(torch.optim.Optimizer):
    """Lion, as in the paper."""

    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_((m * b1 + p.grad * (1 - b1)).sign(), alpha=group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


class Ema:
    def __init__(self, model, decay):
        self.model, self.decay = copy.deepcopy(model).eval(), decay

    @torch.no_grad()
    def update(self, model):
        for mine, theirs in zip(self.model.parameters(), model.parameters()):
            mine.lerp_(theirs, 1 - self.decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers()):
            mine.copy_(theirs)


# ---------------------------------------------------------------- training
def make_criterion(labels):
    if o.fault == "nll_on_logits":
        return nn.NLLLoss()
    if o.fault == "ignore_index":
        return nn.CrossEntropyLoss(ignore_index=0)
    if o.fault == "class_weights_inverted":
        share = torch.tensor(np.bincount(labels) / len(labels), dtype=torch.float32)
        return nn.CrossEntropyLoss(weight=share / share.mean())
    if o.habit == "label_smoothing":
        return nn.CrossEntropyLoss(label_smoothing=0.15)
    return nn.CrossEntropyLoss()


def make_optimizer(model):
    params = model.parameters()
    if o.fault == "head_not_in_optimizer":
        params = list(model.features.parameters()) + list(model.fc1.parameters())
    if o.habit == "custom_optimizer":
        return SignMomentum(params, lr=5e-4, weight_decay=0.05)
    return torch.optim.SGD(params, lr=cfg.lr, momentum=cfg.momentum, weight_decay=cfg.weight_decay, nesterov=True)


def make_scheduler(optimizer):
    if o.fault == "plateau_wrong_mode":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.1, patience=1)
    if o.fault == "step_lr_every_epoch":
        return torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    if o.habit == "warm_restarts":
        return torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=cfg.epochs)


def train_epoch(model, loader, criterion, optimizer, scheduler, rec, ema, totals):
    if o.fault != "stays_in_eval":
        model.train()
    if o.fault != "running_loss_not_reset":
        totals["loss"] = totals["rows"] = 0
    for images, labels in loader:
        if o.fault == "bf16_weights":
            images = images.bfloat16()
        if o.fault == "mixup_labels":
            lam = float(np.random.beta(1, 1))
            images = lam * images + (1 - lam) * images[torch.randperm(len(images))]
        logits = model(images)
        loss = criterion(logits, labels)
        if o.fault == "l1_too_big":
            loss = loss + 0.01 * sum(p.abs().sum() for p in model.parameters())
        if o.fault == "loss_rewrapped":
            loss = torch.tensor(loss.item(), requires_grad=True)
        if o.fault == "step_before_backward":
            optimizer.zero_grad()
            optimizer.step()
            loss.backward()
        else:
            if o.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            if o.fault == "clip_tiny":
                nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            optimizer.step()
        if o.fault == "cosine_per_batch":
            scheduler.step()
        if ema:
            ema.update(model)
        rec.step(loss=loss.item())
        totals["loss"] += loss.item() * len(labels)
        totals["rows"] = len(labels) if o.fault == "running_loss_not_reset" else totals["rows"] + len(labels)
    if o.fault == "running_loss_not_reset":
        return totals["loss"] / len(loader.dataset)
    return totals["loss"] / totals["rows"]


@torch.no_grad()
def evaluate(model, loader):
    if o.fault != "no_eval_mode":
        model.eval()
    loss = correct = rows = 0
    for images, labels in loader:
        if o.fault == "bf16_weights":
            images = images.bfloat16()
        if o.habit == "tta":
            views = [images, images.roll(1, 2), images.roll(-1, 2), images.roll(1, 3), images.roll(-1, 3)]
            logits = torch.stack([model(v) for v in views]).mean(0)
        else:
            logits = model(images)
        loss += F.cross_entropy(logits.float(), labels, reduction="sum").item()
        predicted = logits.max(1)[0 if o.fault == "accuracy_of_values" else 1]
        correct += (predicted == labels).sum().item()
        rows += len(labels)
        if o.fault == "first_batch_only":
            break
    if o.fault == "accuracy_per_batch":
        return loss / rows, correct / len(loader)
    return loss / rows, correct / rows


def main():
    torch.manual_seed(cfg.seed)
    np.random.seed(cfg.seed)
    train_loader, val_loader, labels = make_loaders()
    model = ShapeNet(len(CLASSES), cfg.dropout)
    if o.fault == "bf16_weights":
        model = model.bfloat16()
    if o.fault == "frozen_features":
        for p in model.features.parameters():
            p.requires_grad = False
    criterion = make_criterion(labels)
    optimizer = make_optimizer(model)
    scheduler = make_scheduler(optimizer)
    if o.fault == "model_remade":
        model = ShapeNet(len(CLASSES), cfg.dropout)
    ema = None
    if o.habit == "ema_eval":
        ema = Ema(model, 0.97)
    if o.fault == "ema_slow":
        ema = Ema(model, 0.9999)
    totals = {"loss": 0.0, "rows": 0}
    best, patience = math.inf, 0
    config = {k: v for k, v in vars(Config).items() if not k.startswith("_")} | vars(cfg)
    with lvmcheck.record(o.outdir, config=config, **o.record) as rec:
        for epoch in range(1, cfg.epochs + 1):
            if o.fault == "optimizer_in_loop":
                optimizer = make_optimizer(model)
            train_loss = train_epoch(model, train_loader, criterion, optimizer, scheduler, rec, ema, totals)
            val_loss, val_acc = evaluate(ema.model if ema else model, val_loader)
            rec.epoch(epoch, train_loss=train_loss, val_loss=val_loss, val_acc=val_acc)
            if o.fault == "plateau_wrong_mode":
                scheduler.step(val_acc)
            elif o.fault != "cosine_per_batch":
                scheduler.step()
            if o.habit == "early_stop" or o.fault == "early_stop_inverted":
                score = val_acc if o.fault == "early_stop_inverted" else val_loss
                if score < best:
                    best, patience = score, 0
                else:
                    patience += 1
                if patience >= (5 if o.habit else 3):
                    break


if __name__ == "__main__":
    main()
