"""Ten kinds of drawn shapes: a small ResNet with SGD, an EMA copy and the checkpoint of the best epoch."""
import argparse
import copy
import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import lvmcheck

KINDS = ["ring", "disc", "square", "frame", "plus", "cross", "triangle", "rows", "columns", "dots"]
SIZE = 20
MEAN, STD = torch.tensor([0.45, 0.44, 0.42]).view(3, 1, 1), torch.tensor([0.24, 0.24, 0.25]).view(3, 1, 1)


def draw(kind, rng):
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(float)
    cy, cx, r = rng.uniform(7, 13), rng.uniform(7, 13), rng.uniform(4, 6.5)
    y, x = y - cy, x - cx
    d, box = np.hypot(y, x), np.maximum(abs(y), abs(x))
    inside = {
        "ring": (d < r) & (d > r - 2), "disc": d < r, "square": box < r * 0.85, "frame": (box < r) & (box > r - 2),
        "plus": (box < r) & ((abs(y) < 1.3) | (abs(x) < 1.3)), "cross": (box < r) & ((abs(y - x) < 1.8) | (abs(y + x) < 1.8)),
        "triangle": (y < r * 0.7) & (y > 1.8 * abs(x) - r), "rows": (box < r) & (y.round() % 3 == 0),
        "columns": (box < r) & (x.round() % 3 == 0), "dots": (box < r) & (y.round() % 3 == 0) & (x.round() % 3 == 0),
    }[kind]
    ground, ink = rng.uniform(0.1, 0.9, 3), rng.uniform(0, 1, 3)
    while abs(ground - ink).max() < 0.3:
        ink = rng.uniform(0, 1, 3)
    image = np.where(inside[None], ink[:, None, None], ground[:, None, None]) + rng.normal(0, 0.1, (3, SIZE, SIZE))
    return (image.clip(0, 1) * 255).astype(np.uint8)


def make(n, seed):
    rng = np.random.default_rng(seed)
    names = [KINDS[i % 10] for i in range(n)]
    rng.shuffle(names)
    return torch.from_numpy(np.stack([draw(k, rng) for k in names])), names


class Shapes(Dataset):
    def __init__(self, images, names, train, fault=None, habit=None):
        self.images = images.float() / 255
        if fault == "scaled_again":
            self.images = self.images / 255
        classes = sorted(KINDS)
        if fault == "classes_by_appearance" and not train:
            classes = list(dict.fromkeys(names))
        self.label = [classes.index(n) for n in names]
        self.train, self.fault, self.habit = train, fault, habit
        self.rng = np.random.default_rng(5)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = self.images[i]
        if self.train:
            rng = np.random.default_rng(i) if self.fault == "rng_of_the_item" else self.rng
            if rng.random() < 0.5:
                image = image.flip(2)
            dy, dx = rng.integers(-2, 3, 2)
            image = torch.roll(image, (int(dy), int(dx)), (1, 2))
            if self.habit == "strong_augmentation":
                image = image * rng.uniform(0.6, 1.4) + rng.normal(0, 0.12)
                top, left = rng.integers(0, 13, 2)
                image = image.clone()
                image[:, top : top + 8, left : left + 8] = 0.5
        if self.fault == "scaled_in_place":
            stored = self.images[i]
            stored.sub_(MEAN).div_(STD)
            image = stored if not self.train else torch.roll(stored, (int(dy), int(dx)), (1, 2))
        elif self.fault != "val_raw" or self.train:
            image = (image - MEAN) / STD
        return image, self.label[i]


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        self.skip = nn.Identity() if stride == 1 and cin == cout else nn.Conv2d(cin, cout, 1, stride, bias=False)

    def forward(self, x):
        out = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(out)) + self.skip(x)).relu()


class ResNet(nn.Module):
    def __init__(self, classes=10, fault=None):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU())
        self.stage1, self.stage2 = Block(12, 12, 1), Block(12, 24, 2)
        self.fc = nn.Linear(24, classes)
        self.fault = fault

    def forward(self, x):
        if self.fault == "stem_without_grad":
            with torch.no_grad():
                x = self.stem(x)
        else:
            x = self.stem(x)
        x = self.stage2(self.stage1(x)).mean((2, 3))
        out = self.fc(x)
        if self.fault == "relu_last":
            out = out.relu()
        return out.softmax(1) if self.fault == "softmax_last" else out


class Ema:
    def __init__(self, model, decay, fault):
        self.model, self.decay, self.fault = copy.deepcopy(model).eval(), decay, fault
        self.model.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        for mine, live in zip(self.model.parameters(), model.parameters()):
            mine.mul_(self.decay).add_(live, alpha=1 - self.decay)
        if self.fault != "ema_of_parameters":
            for mine, live in zip(self.model.buffers(), model.buffers()):
                mine.copy_(live)


def topk(logits, label, k, dim=1):
    best = logits.topk(k, dim).indices
    if dim == 0:
        return (best.T == label[: best.shape[1], None]).any(1).float().sum().item() if len(label) >= best.shape[1] else 0.0
    return (best == label[:, None]).any(1).float().sum().item()


def evaluate(model, loader, criterion, fault):
    was = model.training
    if fault != "mode_untouched":
        model.eval()
    loss = top1 = top5 = n = 0.0
    with torch.no_grad():
        for image, label in loader:
            logits = model(image)
            loss += criterion(logits, label).item() * len(label)
            top1 += topk(logits, label, 1)
            top5 += topk(logits, label, 5, 0 if fault == "top5_over_rows" else 1)
            n += len(label)
    model.train(was)
    return loss / n, top1 / n, top5 / n


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("outdir")
    parser.add_argument("--fault")
    parser.add_argument("--habit")
    args = parser.parse_args()
    fault, habit = args.fault, args.habit
    torch.set_num_threads(1)
    torch.manual_seed(3)
    images, names = make(2400, 1)
    begin = 400 if fault == "cut_at_both_ends" else 0
    train_images, train_names = images[begin : begin + 2000], names[begin : begin + 2000]
    val_images, val_names = images[2000:], names[2000:]
    if fault == "folder_order":
        order = sorted(range(len(train_names)), key=lambda i: train_names[i])
        train_images, train_names = train_images[order], [train_names[i] for i in order]
    train_loader = DataLoader(Shapes(train_images, train_names, True, fault, habit), 50, shuffle=fault != "folder_order", drop_last=True)
    val_loader = DataLoader(Shapes(val_images, val_names, False, fault, habit), 100)

    model = ResNet(fault=fault)
    if habit == "frozen_stem":
        model.stem.requires_grad_(False)
    epochs, lr = 8, 0.05
    if fault == "rate_scaled_twice":
        lr = lr * 64
    decay = 0.7 if fault == "decay_of_sgd" else 5e-4
    params = model.fc.parameters() if fault == "only_the_head" else [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(params, lr, momentum=0.9, weight_decay=decay, nesterov=True)
    steps = len(train_loader) * epochs
    if habit == "one_cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=steps)
    else:
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [5, 7], gamma=0.1)
    ema = Ema(model, 0.9999 if fault == "ema_of_imagenet" else 0.97, fault)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    os.makedirs(args.outdir + "_ckpt", exist_ok=True)
    path, best, kept = args.outdir + "_ckpt/best.pt", -1.0, None
    if fault == "restored_each_epoch":
        torch.save(model.state_dict(), path)

    with lvmcheck.record(args.outdir, config={"lr": lr, "epochs": epochs, "weight_decay": decay}, seed=3) as rec:
        for epoch in range(epochs):
            if fault == "restored_each_epoch" and os.path.exists(path):
                model.load_state_dict(torch.load(path))
            model.train()
            total = right = n = 0
            for image, label in train_loader:
                optimizer.zero_grad(set_to_none=True)
                logits = model(image)
                loss = criterion(logits, label)
                loss.backward()
                rate = optimizer.param_groups[0]["lr"]
                optimizer.step()
                ema.update(model)
                if habit == "one_cycle" or fault == "milestones_in_batches":
                    scheduler.step()
                total, right, n = total + loss.item() * len(label), right + topk(logits, label, 1), n + len(label)
                rec.step(loss=loss.item(), lr=rate, samples=len(label))
            if habit != "one_cycle" and fault != "milestones_in_batches":
                scheduler.step()
            val_loss, top1, top5 = evaluate(model, val_loader, criterion, fault)
            _, ema_top1, _ = evaluate(ema.model, val_loader, criterion, fault)
            if top1 > best:
                best = top1
                kept = model.state_dict() if fault == "state_by_reference" else copy.deepcopy(model.state_dict())
                if fault != "restored_each_epoch":
                    torch.save(kept, path)
            rec.epoch(epoch, train_loss=total / n, train_top1=right / n, val_loss=val_loss, val_top1=top1, val_top5=top5, ema_val_top1=ema_top1)
        model.load_state_dict(kept)
        loss, top1, top5 = evaluate(model, val_loader, criterion, fault)
        rec.log(best_val_top1=best, restored_val_top1=top1)


if __name__ == "__main__":
    main()
