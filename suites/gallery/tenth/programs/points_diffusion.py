"""Class-conditional diffusion of points in the plane: four handwritten-like curves, DDPM training, EMA, samples by DDIM."""
import argparse
import copy
import itertools
import math

import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

parser = argparse.ArgumentParser()
parser.add_argument("outdir")
parser.add_argument("--fault")
parser.add_argument("--habit")
opt = parser.parse_args()
torch.set_num_threads(1)
torch.manual_seed(3)

T, STEPS, EVERY, LR = 100, 1000, 100, 4e-3


def curve_points(n, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (n,), generator=g)
    u = torch.rand(n, generator=g) * 2 * math.pi
    shapes = torch.stack([
        torch.stack([u.cos(), u.sin()], 1),
        torch.stack([u / math.pi - 1, (2 * u).sin() * 0.6], 1),
        torch.stack([u.cos() * u / 6, u.sin() * u / 6], 1),
        torch.stack([u.sin(), (2 * u).sin() * 0.5], 1),
    ])  # fmt: skip
    p = shapes[y, torch.arange(n)] * 60 + 128 + 2 * torch.randn(n, 2, generator=g)
    return p, y


class Denoiser(nn.Module):
    def __init__(self, width=96, classes=4):
        super().__init__()
        self.classes = classes
        self.embed = nn.Embedding(classes + 1, 16)
        freq = torch.exp(torch.linspace(0, math.log(50), 8))
        self.register_buffer("freq", freq)
        self.net = nn.Sequential(
            nn.Linear(2 + 16 + 16, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2),
        )  # fmt: skip

    def forward(self, x, t, y):
        a = t[:, None] * self.freq
        return self.net(torch.cat([x, a.sin(), a.cos(), self.embed(y)], 1))


betas = torch.linspace(1e-3, 0.12, T)
bar = torch.cumprod(1 - betas, 0)


def corrupt(x, t, noise):
    a = bar[t].sqrt()[:, None]
    s = (1 - bar[t]).sqrt()[:, None]
    if opt.fault == "inplace":
        return x.mul_(a).add_(s * noise)
    return a * x + s * noise


def when(t):
    if opt.fault == "integer_time":
        return (t // T).float()
    return t.float() / T


@torch.no_grad()
def sample(model, y):
    g = torch.Generator().manual_seed(99)
    x = torch.randn(len(y), 2, generator=g)
    for i in range(T - 1, -1, -4):
        t = torch.full((len(y),), i)
        eps = model(x, when(t), y)
        x0 = ((x - (1 - bar[i]).sqrt() * eps) / bar[i].sqrt()).clamp(-3, 3)
        j = max(i - 4, 0)
        x = bar[j].sqrt() * x0 + (1 - bar[j]).sqrt() * eps if i > 4 else x0
    return x


def energy_distance(a, b):
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


class Ema:
    def __init__(self, model, decay):
        self.decay, self.n = decay, 0
        self.model = copy.deepcopy(model).eval()

    @torch.no_grad()
    def update(self, model):
        self.n += 1
        d = min(self.decay, (1 + self.n) / (10 + self.n))
        if opt.fault == "slow_ema":
            d = 0.999999
        for e, p in zip(self.model.parameters(), model.parameters()):
            e.lerp_(p, 1 - d)


train_x, train_y = curve_points(4096, 0)
val_x, val_y = curve_points(512, 1)
if opt.fault != "raw_pixels":
    mean, std = train_x.mean(0), train_x.std(0)
    train_x, val_x = (train_x - mean) / std, (val_x - mean) / std
if opt.fault == "val_rows_of_train":
    val_x, val_y = train_x[:512].clone(), train_y[:512]

model = Denoiser()
if opt.fault == "rebuilt_model":
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    model = Denoiser()
elif opt.fault == "tiny_rate":
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-6)
else:
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, (s + 1) / 100))
ema = Ema(model, 0.995)
gv = torch.Generator().manual_seed(7)
val_t = torch.randint(0, T, (512,), generator=gv)
val_noise = torch.randn(512, 2, generator=gv)


@torch.no_grad()
def evaluate(m):
    xt = bar[val_t].sqrt()[:, None] * val_x + (1 - bar[val_t]).sqrt()[:, None] * val_noise
    goal = val_noise
    return mse_loss(m(xt, when(val_t), val_y), goal).item(), energy_distance(sample(m, val_y), val_x)


def batches():
    if opt.fault == "inplace":
        while True:
            order = torch.randperm(4096)
            train_x[:], train_y[:] = train_x[order], train_y[order]
            for k in range(0, 4096, 128):
                yield train_x[k : k + 128], train_y[k : k + 128]
    loader = DataLoader(TensorDataset(train_x, train_y), 128, shuffle=True, drop_last=True)
    for _ in itertools.count():
        yield from loader


with lvmcheck.record(opt.outdir, config={"steps": STEPS, "lr": LR, "timesteps": T}) as rec:
    running = None
    for step, (x, y) in zip(range(1, STEPS + 1), batches()):
        if opt.fault == "reseeded":
            torch.manual_seed(0)
        t = torch.randint(0, T, (len(x),))
        if opt.habit == "antithetic":
            t[len(t) // 2 :] = T - 1 - t[: len(t) // 2]
        noise = torch.randn(x.shape)
        if opt.habit == "guidance_dropout":
            y = torch.where(torch.rand(len(y)) < 0.1, 4, y)
        if opt.fault == "always_null":
            y = torch.where(torch.rand(len(y)) < 10, 4, y)
        goal = x.clone() if opt.fault == "predicts_data" else noise
        out = model(corrupt(x, t, noise), when(t), y)
        if opt.habit == "weighted":
            snr = bar[t] / (1 - bar[t])
            w = snr.clamp(max=5) / snr
            loss = (w * (out - goal).square().mean(1)).mean() / w.mean()
        else:
            loss = mse_loss(out, goal)
        optimizer.zero_grad()
        loss.backward()
        if opt.fault == "clear_again":
            optimizer.zero_grad()
        optimizer.step()
        warm.step()
        ema.update(model)
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        rec.step(loss=loss, lr=warm.get_last_lr()[0])
        if step % EVERY == 0:
            eval_loss, distance = evaluate(ema.model)
            rec.log(smooth_loss=running, eval_loss=eval_loss, sample_distance=distance)
