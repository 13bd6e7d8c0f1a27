"""MoCo-style contrastive learning on sketches: two augmented views of each drawing, retrieval on held-out drawings."""
import argparse
import copy
import math
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

import lvmcheck

ap = argparse.ArgumentParser()
ap.add_argument("outdir")
ap.add_argument("--fault", default="")
ap.add_argument("--habit", default="")
args = ap.parse_args()
fault, habit = args.fault, args.habit
torch.set_num_threads(1)
torch.manual_seed(11)
SIZE, EPOCHS, BATCH, TEMP = 16, 12, 48, 0.1


def sketches(n, seed):
    g = torch.Generator().manual_seed(seed)
    t = torch.linspace(0, 1, 24)
    grid = torch.arange(SIZE).float()
    out = torch.zeros(n, SIZE, SIZE)
    for _ in range(3):  # three quadratic strokes each
        p = torch.rand(n, 3, 2, generator=g) * (SIZE - 5) + 2.5
        w = torch.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2])
        pts = torch.einsum("nkc,kt->ntc", p, w)
        d = (pts[:, :, 0, None] - grid) ** 2
        e = (pts[:, :, 1, None] - grid) ** 2
        dist = (d[:, :, :, None] + e[:, :, None, :]).amin(1)
        out = torch.maximum(out, torch.exp(-dist))
    return out[:, None]


def augment(x, g):
    dx, dy = g.randrange(5), g.randrange(5)
    x = x[:, dx : dx + SIZE, dy : dy + SIZE] * g.uniform(2.3, 3.2)
    x += torch.from_numpy(g.noise.normal(-0.4, 0.25, x.shape).astype("float32"))
    r, c = g.randrange(SIZE - 5), g.randrange(SIZE - 5)
    x[:, r : r + 4, c : c + 4] = -0.4
    return x


class Draws(random.Random):
    def __init__(self, seed):
        super().__init__(seed)
        self.noise = np.random.default_rng(seed)


class Pairs(Dataset):
    def __init__(self, images, seed):
        self.images = F.pad(images, (2, 2, 2, 2))
        self.seed = seed
        self.g = Draws(seed)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        if fault == "seed_in_getitem":
            self.g = Draws(self.seed + i)
        a = augment(self.images[i], self.g)
        if fault == "same_view":
            return a, a.clone()
        if fault == "next_image":
            return a, augment(self.images[i - 1], self.g)
        return a, augment(self.images[i], self.g)


class Encoder(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 48, 3, 2, 1), nn.BatchNorm2d(48), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.project = nn.Sequential(nn.Linear(48 * 4, 96), nn.ReLU(), nn.Linear(96, dim))

    def forward(self, x):
        return F.normalize(self.project(self.body(x)), dim=0 if fault == "norm_dim" else 1)


@torch.no_grad()
def momentum_update(online, key, m):
    for p, k in zip(online.parameters(), key.parameters()):
        if fault == "ema_not_assigned":
            k.data.mul(m).add(p.data, alpha=1 - m)
        else:
            k.data.mul_(m).add_(p.data, alpha=1 - m)
    for b, k in zip(online.buffers(), key.buffers()):
        k.copy_(b)


@torch.no_grad()
def retrieval(encoder, views):
    if fault != "eval_forgotten":
        encoder.eval()
    za = torch.cat([encoder(a) for a, _ in views])
    zb = torch.cat([encoder(b) for _, b in views])
    encoder.train()
    sims = za @ zb.T
    truth = torch.arange(len(sims))
    loss = F.cross_entropy(sims / TEMP, truth)
    top = sims.topk(5, dim=1, largest=fault != "topk_smallest").indices
    hit = top == truth[:, None]
    return loss.item(), hit[:, :1].any(1).float().mean().item(), hit.any(1).float().mean().item()


pool = sketches(1500, 5)
train_set = Pairs(pool if fault == "val_in_train" else pool[:1200], 1)
val_set = Pairs(pool[1200:], 2)
loader = DataLoader(train_set, BATCH, shuffle=True, drop_last=True)
views = list(DataLoader(val_set, 8 if fault == "eval_forgotten" else 100))

online = Encoder()
key = copy.deepcopy(online)
for p in key.parameters():
    p.requires_grad_(False)
log_temp = nn.Parameter(torch.tensor(math.log(TEMP)))
params = online.body.parameters() if fault == "body_only" else online.parameters()
groups = [{"params": params, "weight_decay": 1e-4}]
if habit == "learned_temperature":
    groups.append({"params": [log_temp], "weight_decay": 0.0, "lr": 1e-3})
optimizer = torch.optim.AdamW(groups, lr=3e-3)
total = EPOCHS * (1 if fault == "cosine_epochs" else len(loader))
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total, eta_min=1e-5)

with lvmcheck.record(args.outdir, config={"epochs": EPOCHS, "lr": 3e-3, "temperature": TEMP}, seed=11) as rec:
    if habit == "epoch_zero":
        loss, r1, r5 = retrieval(online, views)
        rec.log(val_loss=loss, recall_at_1=r1, recall_at_5=r5)
    for epoch in range(1, EPOCHS + 1):
        total_loss, seen = 0.0, 0
        for i, (a, b) in enumerate(loader):
            q = online(a)
            with torch.no_grad():
                k = key(b)
            if fault == "multiply_temp":
                logits = q @ k.T * TEMP
            elif habit == "learned_temperature":
                logits = q @ k.T / log_temp.exp().clamp(0.02, 1)
            else:
                logits = q @ k.T / TEMP
            if fault == "softmax_first":
                logits = logits.softmax(1)
            loss = F.cross_entropy(logits, torch.arange(len(q)))
            if habit == "accumulate":
                (loss / 2).backward()
                if i % 2 == 1:
                    optimizer.step()
                    optimizer.zero_grad()
                    momentum_update(online, key, 0.9)
            else:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                momentum_update(online, key, 0.9)
            rec.step(loss=loss.item(), lr=optimizer.param_groups[0]["lr"], samples=len(q))
            schedule.step()
            total_loss += loss.item()
            seen += 1
        val_loss, r1, r5 = retrieval(online, views)
        rec.epoch(epoch, train_loss=total_loss / seen, val_loss=val_loss, recall_at_1=r1, recall_at_5=r5)
