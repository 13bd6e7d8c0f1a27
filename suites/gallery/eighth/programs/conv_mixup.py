# small conv net, crop/flip augmentation, mixup, EMA, SGD, AMP
import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

import lvmcheck
from common import options

torch.set_num_threads(1)
torch.manual_seed(23)
o = options()

K, S = 6, 16
epochs, bs, lr = 10, 30, 0.1
if o.habit == "large_batch":
    bs, lr = 120, 0.3
    epochs = 16


def make(n, gen):
    y = torch.randint(K, (n,), generator=gen)
    gx = torch.linspace(-1, 1, S)
    img = torch.zeros(n, 3, S, S)
    r = lambda *s: torch.randn(*s, generator=gen)
    cx, cy = 0.2 * r(n, 1, 1), 0.2 * r(n, 1, 1)
    X, Y = gx[None, None, :] - cx, gx[None, :, None] - cy
    size = 0.55 + 0.1 * r(n, 1, 1)
    ring = ((X**2 + Y**2).sqrt() - size).abs() < 0.16
    disc = (X**2 + Y**2).sqrt() < size * 0.8
    square = (X.abs() < size * 0.75) & (Y.abs() < size * 0.75)
    plus = ((X.abs() < 0.17) | (Y.abs() < 0.17)) & square
    diag = ((X - Y).abs() < 0.25) & square
    shape = torch.stack([ring, disc, square, plus, diag], 1).float()[torch.arange(n), torch.tensor([0, 2, 3])[y % 3]]
    tint = torch.where(y < 3, 0.6, -0.6)[:, None] + 0.4 * r(n, 3)
    colour = torch.stack([0.5 + tint[:, 0] * 0.5, 0.5 + 0.3 * r(n), 0.5 - tint[:, 2] * 0.5], 1)
    img = shape[:, None] * colour[:, :, None, None] + (1 - shape[:, None]) * (-0.3 + 0.15 * r(n, 3, 1, 1))
    return (img + 0.18 * r(n, 3, S, S)).clamp(-1, 2), y


g = torch.Generator().manual_seed(1)
xt, yt = make(720, g)
xv, yv = make(300, g)
mean, std = xt.mean((0, 2, 3), keepdim=True), xt.std((0, 2, 3), keepdim=True)
xt, xv = (xt - mean) / std, (xv - mean) / std


def augment(x):
    flip = torch.rand(len(x)) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    p = F.pad(x, (2, 2, 2, 2), mode="reflect")
    i, j = torch.randint(5, (2,)).tolist()
    return p[:, :, i:i + S, j:j + S]


def conv(a, b, stride=1):
    return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


net = nn.Sequential(conv(3, 16, 2), conv(16, 24, 2), conv(24, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, K))
ema = copy.deepcopy(net)
decay = 0.9995 if o.fault == "ema_slow" else 0.96
opt = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
steps = epochs * math.ceil(len(xt) / bs)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=epochs if o.fault == "cosine_tmax" else steps)
scaler = torch.amp.GradScaler("cpu")
smooth = 0.1 if o.habit == "label_smoothing" else 0.0


def criterion(out, y):
    if o.fault == "double_softmax":
        out = out.softmax(-1)
    return F.cross_entropy(out, y, label_smoothing=smooth)


cfg = {"epochs": epochs, "batch_size": bs, "lr": lr, "mixup": 0.3, "ema": decay, "classes": K}
with lvmcheck.record(o.out, config=cfg, **o.extra) as rec:
    for epoch in range(1, epochs + 1):
        net.train()
        hits = n = 0
        for rows in torch.randperm(len(xt)).split(bs):
            x, y = augment(xt[rows]), yt[rows]
            lam = float(torch.distributions.Beta(0.3, 0.3).sample())
            if o.habit == "no_mixup_end" and epoch > epochs - 3:
                lam = 1.0
            other = torch.randperm(len(x))
            mixed = lam * x + (1 - lam) * x[other]
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
                out = net(mixed)
                if o.fault == "mixup_swapped":
                    loss = (1 - lam) * criterion(out, y) + lam * criterion(out, y[other])
                elif o.fault == "mixup_hard":
                    loss = criterion(out, y)
                else:
                    loss = lam * criterion(out, y) + (1 - lam) * criterion(out, y[other])
            opt.zero_grad()
            scaler.scale(loss).backward()
            if o.fault != "clip_scaled":
                scaler.unscale_(opt)
            norm = nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            scaler.step(opt)
            scaler.update()
            sched.step()
            with torch.no_grad():
                for a, b in zip(ema.parameters(), net.parameters()):
                    a.lerp_(b, 1 - decay)
                if o.fault != "ema_no_buffers":
                    for a, b in zip(ema.buffers(), net.buffers()):
                        a.copy_(b)
            hits += (out.argmax(1) == y).sum().item()
            n += len(y)
            rec.step(loss=loss)
        extra = {}
        with torch.no_grad():
            ema.eval()
            out = ema(xv)
            if o.habit == "train_rows_eval":
                part = ema(xt[:400])
                extra = {"train_eval_loss": F.cross_entropy(part, yt[:400]), "train_eval_acc": 100 * (part.argmax(1) == yt[:400]).float().mean()}
        rec.epoch(epoch, train_acc=100 * hits / n, val_loss=F.cross_entropy(out, yv), val_acc=100 * (out.argmax(1) == yv).float().mean(), **extra)
