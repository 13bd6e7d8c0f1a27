"""Denoising diffusion (noise prediction) of a noisy swiss roll that is embedded in 6 dimensions."""
from copy import deepcopy

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import lvmcheck
from options import options

opt = options()
torch.set_num_threads(1)
T = 100


def roll(n, g):
    s = 4.7 * (1 + 2 * torch.rand(n, generator=g))
    pts = torch.stack([s * s.cos(), s * s.sin()], 1)
    lift = torch.randn(2, 6, generator=torch.Generator().manual_seed(5))
    return pts @ lift + 0.6 * torch.randn(n, 6, generator=g)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h):
        return h + self.fc2(nn.functional.silu(self.fc1(self.norm(h))))


class Denoiser(nn.Module):
    def __init__(self, width=96, depth=3):
        super().__init__()
        self.inp = nn.Linear(6, width)
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.out = nn.Linear(width, 6)

    def forward(self, x, t):
        freq = torch.exp(torch.linspace(0, 6, 16))
        angle = t[:, None] * freq
        h = self.inp(x) + self.time(torch.cat([angle.sin(), angle.cos()], 1))
        for block in self.blocks:
            h = checkpoint(block, h, use_reentrant=False) if opt.habit == "checkpointing" and self.training else block(h)
        return self.out(h)


class Process:
    def __init__(self):
        beta = torch.linspace(1e-3, 0.08, T)
        self.beta, self.abar = beta, torch.cumprod(1 - beta, 0)

    def noisy(self, x0, t, eps):
        a = self.abar[t][:, None]
        if opt.fault == "no_sqrt":
            return a * x0 + (1 - a) * eps
        return a.sqrt() * x0 + (1 - a).sqrt() * eps

    def loss(self, model, x0, g=None):
        t = torch.randint(0, T, (len(x0),), generator=g)
        eps = torch.randn(x0.shape, generator=g)
        xt = self.noisy(x0, t, eps)
        when = (t // T).float() if opt.fault == "t_int" else t / T
        if opt.fault == "other_noise":
            eps = torch.randn(x0.shape, generator=g)
        return nn.functional.mse_loss(model(xt, when), eps)

    @torch.no_grad()
    def sample(self, model, n):
        x = torch.randn(n, 6)
        for t in reversed(range(T)):
            tt = torch.full((n,), 0.0 if opt.fault == "t_int" else t / T)
            eps = model(x, tt)
            x = (x - self.beta[t] / (1 - self.abar[t]).sqrt() * eps) / (1 - self.beta[t]).sqrt()
            if t:
                x = x + self.beta[t].sqrt() * torch.randn(n, 6)
        return x


def energy(a, b):
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


def main():
    torch.manual_seed(1)
    g = torch.Generator().manual_seed(21)
    data = roll(6000, g)
    if opt.fault != "unscaled":
        data = (data - data.mean(0)) / data.std(0)
    train, held = data[:5000], data[5000:]
    process, net = Process(), Denoiser()
    decay = 0.9999 if opt.fault == "ema_slow" else 0.99
    ema = deepcopy(net).requires_grad_(False).eval()
    steps, micro = 480, 2 if opt.habit == "accumulate" else 1
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    if opt.habit == "warm_restarts":
        sched = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(adam, 160)
    else:
        sched = torch.optim.lr_scheduler.LambdaLR(adam, lambda s: min(1.0, (s + 1) / 50))
    with lvmcheck.record(opt.out, config={"steps": steps, "lr": 2e-3, "ema": decay, "accumulate": micro, "batch": 128}, **opt.extra) as rec:
        for step in range(1, steps + 1):
            total = 0.0
            if opt.fault != "no_zero_grad":
                adam.zero_grad(set_to_none=True)
            for _ in range(micro):
                x0 = train[torch.randint(0, len(train), (128 // micro,))]
                loss = process.loss(net, x0) / micro
                loss.backward()
                total += loss.item()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()
            sched.step()
            with torch.no_grad():
                for p, q in zip(ema.parameters(), net.parameters()):
                    p.mul_(decay).add_(q, alpha=1 - decay)
            if opt.habit == "warm_restarts":
                rec.step(loss=total, lr=sched.get_last_lr()[0])
            else:
                rec.step(loss=total, grad_norm=norm)
            if step % 80 == 0:
                with torch.no_grad():
                    val = process.loss(ema, held, torch.Generator().manual_seed(0))
                rec.log(val_mse=val.item(), sample_energy=energy(process.sample(ema, 300), held[:300]), step=step)


main()
