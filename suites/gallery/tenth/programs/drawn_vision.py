"""Classify drawn strokes with a small convolutional network."""
import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

import lvmcheck

CLASSES = 8


class Strokes(Dataset):
    """Two line segments; the pair of directions is the class."""

    def __init__(self, n, seed, size=16, skewed=False):
        g = torch.Generator().manual_seed(seed)
        share = torch.tensor([0.45, 0.2, 0.12, 0.08, 0.06, 0.04, 0.03, 0.02]) if skewed else torch.ones(CLASSES)
        self.labels = torch.multinomial(share / share.sum(), n, replacement=True, generator=g)
        first = self.labels * torch.pi / CLASSES + 0.12 * torch.randn(n, generator=g)
        centre = 0.5 + 0.12 * torch.randn(n, 2, generator=g)
        length = 0.25 + 0.1 * torch.rand(n, generator=g)
        self.noise = torch.Generator().manual_seed(seed + 1)
        self.parts = (first, centre, length)
        self.size = size
        self.render(size)

    def render(self, size):
        first, centre, length = self.parts
        axis = (torch.arange(size) + 0.5) / size
        yy, xx = torch.meshgrid(axis, axis, indexing="ij")
        dx, dy = xx[None] - centre[:, 0, None, None], yy[None] - centre[:, 1, None, None]
        c, s = first.cos()[:, None, None], first.sin()[:, None, None]
        along, across = dx * c + dy * s, -dx * s + dy * c
        ink = torch.exp(-((across * 14) ** 2)) * torch.sigmoid((length[:, None, None] - along.abs()) * 40)
        self.images = (ink + 0.25 * torch.randn(ink.shape, generator=self.noise))[:, None]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.images[i], self.labels[i]


class Net(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        )
        self.drop = nn.Dropout(dropout)
        self.hidden, self.head = nn.Linear(512, 64), nn.Linear(64, CLASSES)

    def forward(self, x):
        x = self.drop(self.body(x).flatten(1))
        return self.head(self.drop(F.relu(self.hidden(x))))


def focal(logits, y, gamma=2.0):
    logp = F.log_softmax(logits, 1).gather(1, y[:, None]).squeeze(1)
    return (-((1 - logp.exp()) ** gamma) * logp).mean()


def loss_of(model, x, y, habit, weights):
    if habit == "mixup":
        lam = torch.distributions.Beta(0.4, 0.4).sample().item()
        other = torch.randperm(len(x))
        out = model(lam * x + (1 - lam) * x[other])
        return lam * F.cross_entropy(out, y) + (1 - lam) * F.cross_entropy(out, y[other]), out
    if habit == "cutmix":
        other, side = torch.randperm(len(x)), int(torch.randint(3, 10, ()))
        r, c = torch.randint(0, 16 - side, (2,)).tolist()
        mixed = x.clone()
        mixed[:, :, r : r + side, c : c + side] = x[other][:, :, r : r + side, c : c + side]
        share = side * side / 256
        out = model(mixed)
        return (1 - share) * F.cross_entropy(out, y) + share * F.cross_entropy(out, y[other]), out
    if habit == "fgsm":
        probe = x.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(F.cross_entropy(model(probe), y), probe)
        out = model((x + 0.08 * slope.sign()).detach())
        return F.cross_entropy(out, y), out
    out = model(x)
    if habit == "focal":
        return focal(out, y), out
    smoothing = 0.2 if habit == "smoothing" else 0.0
    return F.cross_entropy(out, y, weight=weights, label_smoothing=smoothing), out


@torch.no_grad()
def predict(model, dataset, habit):
    model.eval()
    if habit == "mc_dropout":
        model.drop.train()
        probs = torch.stack([F.softmax(model(dataset.images), 1) for _ in range(12)]).mean(0)
    elif habit == "flips":  # turned by half a circle, a stroke is the same stroke
        probs = (F.softmax(model(dataset.images), 1) + F.softmax(model(dataset.images.flip(2, 3)), 1)) / 2
    else:
        probs = F.softmax(model(dataset.images), 1)
    model.train()
    y = dataset.labels
    recall = [(probs.argmax(1)[y == c] == c).float().mean() for c in range(CLASSES) if (y == c).any()]
    return F.nll_loss(probs.clamp(min=1e-8).log(), y), (probs.argmax(1) == y).float().mean(), torch.stack(recall).mean()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--habit", default="plain")
    a = p.parse_args()
    torch.manual_seed(4)
    torch.set_num_threads(1)
    skewed = a.habit in ("weights", "oversampled", "focal")
    train, val = Strokes(1920, 1, skewed=skewed), Strokes(600, 3, skewed=skewed)
    if a.habit == "progressive":
        train.render(8)
    sampler, weights = None, None
    share = torch.bincount(train.labels, minlength=CLASSES) / len(train)
    if a.habit == "oversampled":
        sampler = WeightedRandomSampler((1 / share)[train.labels], len(train))
    if a.habit == "weights":
        weights = (1 / share) ** 0.5 / ((1 / share) ** 0.5).mean()
    loader = DataLoader(train, batch_size=48, shuffle=sampler is None, sampler=sampler)
    model = Net(0.6 if a.habit in ("heavy_dropout", "mc_dropout") else 0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    with lvmcheck.record(a.out, config=vars(a)) as rec:
        if a.habit in ("mixup", "oversampled"):
            rec.watch(model, optimizer, train=loader, val=DataLoader(val, batch_size=200))
        for epoch in range(1, 11):
            if a.habit == "progressive" and epoch in (4, 7):
                train.render({4: 12, 7: 16}[epoch])
            right = seen = 0
            for x, y in loader:
                loss, out = loss_of(model, x, y, a.habit, weights)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                right, seen = right + int((out.argmax(1) == y).sum()), seen + len(y)
                rec.step(loss=loss, samples=len(x))
            decay.step()
            val_loss, accuracy, recall = predict(model, val, a.habit)
            rec.epoch(epoch, train_accuracy=right / seen, val_loss=val_loss, val_accuracy=accuracy, macro_recall=recall)


main()
