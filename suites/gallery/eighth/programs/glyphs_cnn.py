"""Small pictures of ten glyphs, a convolutional network, batches by hand."""

import torch
import torch.nn as nn
import torch.nn.functional as F

import lvmcheck
from common import options

o = options()
EPOCHS, BATCH, LR = 8, 64, 2e-3
if o.habit == "frozen_stem":
    EPOCHS = 6
if o.habit == "large_batch":
    BATCH, LR, EPOCHS = 256, 6e-3, 12


def make_glyphs(n, seed):
    """Eight templates, of which two come mirrored as classes of their own; shifted, dimmed and noisy, some mislabelled."""
    g = torch.Generator().manual_seed(99)
    coarse = torch.randn(8, 1, 5, 5, generator=g)
    templates = F.interpolate(coarse, size=12, mode="bicubic", align_corners=False).gt(0.15).float()
    templates = torch.cat([templates, templates[:2].flip(-1)])
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 10, (n,), generator=g)
    x = torch.zeros(n, 1, 16, 16)
    dy, dx = torch.randint(0, 5, (2, n), generator=g)
    bright = 0.5 + torch.rand(n, generator=g)
    for i in range(n):
        x[i, :, dy[i] : dy[i] + 12, dx[i] : dx[i] + 12] = templates[y[i]] * bright[i]
    x = x + 0.75 * torch.randn(x.shape, generator=g)
    wrong = torch.rand(n, generator=g) < 0.03
    y = torch.where(wrong, torch.randint(0, 10, (n,), generator=g), y)
    return (x * 70 + 60).clamp(0, 255).round(), y


class Net(nn.Module):
    def __init__(self, width=16, p=0.1):
        super().__init__()
        momentum = 0.001 if o.fault == "bn_momentum" else 0.1
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width, momentum=momentum)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(2 * width, momentum=momentum)
        self.drop = nn.Dropout(p)
        self.fc1 = nn.Linear(2 * width * 16, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.stem(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = x.flatten(1)
        if o.fault == "detached_features":
            x = x.detach()
        x = self.fc2(self.drop(F.relu(self.fc1(x))))
        if o.fault == "relu_logits":
            x = F.relu(x)
        return x


def normalise(x):
    return (x - 75.0) / 60.0


def evaluate(model, x, y):
    model.eval()
    loss, right = 0.0, 0
    with torch.no_grad():
        for xb, yb in zip(x.split(200), y.split(200)):
            if o.fault != "val_not_normalised":
                xb = normalise(xb)
            else:
                xb = xb / 255.0
            out = model(xb)
            loss += F.cross_entropy(out, yb, reduction="sum").item()
            right += (out.argmax(1) == yb).sum().item()
    if o.fault != "stays_in_eval":
        model.train()
    return loss / len(y), 100.0 * right / len(y)


def main():
    torch.manual_seed(3)
    x, y = make_glyphs(1800, 1)
    xv, yv = make_glyphs(600, 2)
    model = Net(p=0.6 if o.habit == "high_dropout" else 0.1)
    if o.habit == "frozen_stem":
        for p in model.stem.parameters():
            p.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=LR)
    smoothing = 0.1 if o.habit == "label_smoothing" else 0.0

    with lvmcheck.record(o.out, config={"epochs": EPOCHS, "lr": LR, "batch_size": BATCH}, **o.record) as rec:
        model.train()
        for epoch in range(EPOCHS):
            total = 0.0
            for rows in torch.randperm(len(x)).split(BATCH):
                xb, yb = normalise(x[rows]), y[rows]
                if o.fault == "flip_augmentation":
                    flip = torch.rand(len(xb)) < 0.5
                    xb = torch.where(flip[:, None, None, None], xb.flip(-1), xb)
                loss = F.cross_entropy(model(xb), yb, label_smoothing=smoothing)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rec.step(loss=loss.item())
                total += loss.item() * len(rows)
            val_loss, val_acc = evaluate(model, xv, yv)
            rec.epoch(epoch, train_loss=total / len(x), val_loss=val_loss, val_acc=val_acc)
            print(f"epoch {epoch} loss {total / len(x):.4f} val {val_loss:.4f} acc {val_acc:.1f}%")


if __name__ == "__main__":
    main()
