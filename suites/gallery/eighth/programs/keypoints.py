"""Three key points (left eye, right eye, mouth) in small grey images, with occlusion and flips."""
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import lvmcheck
from common import options

torch.set_num_threads(1)
o = options()
torch.manual_seed(11)
SIZE = 24


def draw(n):
    g = torch.arange(SIZE).float()
    cx, cy = 11.5 + 2.5 * torch.randn(n), 11.5 + 2.0 * torch.randn(n)
    s, tilt = 4.2 + 0.7 * torch.randn(n), 0.25 * torch.randn(n)
    base = torch.tensor([[-1.0, -0.7], [1.0, -0.7], [0.15, 1.0]])
    pts = torch.stack([
        cx[:, None] + s[:, None] * (base[:, 0] * tilt.cos()[:, None] - base[:, 1] * tilt.sin()[:, None]),
        cy[:, None] + s[:, None] * (base[:, 0] * tilt.sin()[:, None] + base[:, 1] * tilt.cos()[:, None])], -1)
    pts = (pts + 0.4 * torch.randn(n, 3, 2)).clamp(1, SIZE - 2)
    seen = torch.rand(n, 3) > 0.15
    width = torch.tensor([[1.2, 1.2], [1.2, 1.2], [2.4, 0.9]])
    dx = (g[None, None, None, :] - pts[:, :, 0, None, None]) / width[:, 0, None, None]
    dy = (g[None, None, :, None] - pts[:, :, 1, None, None]) / width[:, 1, None, None]
    blobs = torch.exp(-0.5 * (dx**2 + dy**2)) * seen[:, :, None, None]
    img = 0.35 + 0.5 * blobs.sum(1) + 0.12 * torch.randn(n, SIZE, SIZE)
    for _ in range(2):  # clutter
        at = torch.rand(n, 2) * SIZE
        img += 0.3 * torch.exp(-0.5 * (((g[None, None] - at[:, 0, None, None]) / 0.9)**2 + ((g[None, :, None] - at[:, 1, None, None]) / 0.9)**2))
    pts = torch.where(seen[..., None], pts, torch.tensor(-1.0))  # the annotation tool writes -1 for hidden points
    return (img.clamp(0, 1) * 255).round().unsqueeze(1), pts, seen


class Faces(Dataset):
    def __init__(self, n, augment):
        self.img, self.pts, self.seen = draw(n)
        self.augment = augment
        self.rng = torch.Generator().manual_seed(5)

    def __len__(self):
        return len(self.img)

    def __getitem__(self, i):
        img, pts, seen = self.img[i], self.pts[i].clone(), self.seen[i]
        if o.fault != "not_scaled":
            img = img / 127.5 - 1
        if self.augment:
            if torch.rand((), generator=self.rng) < 0.5:
                img = img.flip(-1)
                pts[:, 0] = torch.where(seen, SIZE - 1 - pts[:, 0], pts[:, 0])
                if o.fault != "flip_noswap":
                    pts, seen = pts[[1, 0, 2]], seen[[1, 0, 2]]
            img = img * (0.8 + 0.4 * torch.rand((), generator=self.rng))
        return img, pts / (SIZE / 2) - 1, seen


def model_():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(24 * 36, 64), nn.ReLU(), nn.Linear(64, 6), nn.Unflatten(1, (3, 2)))


def objective(pred, pts, seen):
    err = nn.functional.smooth_l1_loss(pred, pts, reduction="none", beta=0.2).sum(-1)
    if o.fault == "ignore_visibility":
        return err.mean()
    return (err * seen).sum() / seen.sum()


def evaluate(net, loader):
    net.eval()
    loss = px = batches = 0
    with torch.no_grad():
        for img, pts, seen in loader:
            pred = net(img)
            if o.habit == "tta":
                back = net(img.flip(-1))[:, [1, 0, 2]]
                back = torch.stack([-back[..., 0] - 2 / SIZE, back[..., 1]], -1)
                pred = (pred + back) / 2
            loss += objective(pred, pts, seen).item()
            d = (pred - pts).mul(SIZE / 2).norm(dim=-1)
            px += ((d * seen).sum() / seen.sum()).item()
            batches += 1
    net.train()
    if o.fault == "metric_divisor":
        return loss / batches, px / len(loader.dataset)
    return loss / batches, px / batches


EPOCHS = 4 if o.habit == "one_eval" else 11
train, val = Faces(480, augment=True), Faces(225, augment=False)
loader, val_loader = DataLoader(train, batch_size=32, shuffle=True), DataLoader(val, batch_size=75)
net = model_()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
sched = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, mode="max" if o.fault == "plateau_mode" else "min", factor=0.5, patience=2)
best, bad = float("inf"), 0
with lvmcheck.record(o.out, config={"epochs": EPOCHS, "lr": 2e-3, "batch_size": 32, "points": 3}, **o.extra) as rec:
    for epoch in range(EPOCHS):
        if o.fault == "reseeded":
            torch.manual_seed(11)  # "reproducible"
            train.rng.manual_seed(5)
        running = 0.0
        for img, pts, seen in loader:
            opt.zero_grad()
            loss = objective(net(img), pts, seen)
            loss.backward()
            opt.step()
            running += loss.item()
            rec.step(loss=loss)
        if o.habit == "one_eval" and epoch < EPOCHS - 1:
            rec.epoch(epoch, train_loss=running / len(loader))
            continue
        val_loss, mae = evaluate(net, val_loader)
        sched.step(mae)
        rec.epoch(epoch, train_loss=running / len(loader), val_loss=val_loss, mAE=mae)
        if o.habit == "early_stop":
            bad = 0 if mae < best - 0.02 else bad + 1
            best = min(best, mae)
            if bad >= 2:
                break
