"""Generate points on a ring of eight blobs."""
import argparse
import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="nonsaturating")
a = p.parse_args()
torch.manual_seed(3)
torch.set_num_threads(1)

ANGLES = torch.arange(8) * math.pi / 4
CENTRES = torch.stack([ANGLES.cos(), ANGLES.sin()], 1) * 2


def ring(n):
    return CENTRES[torch.randint(0, 8, (n,))] + 0.15 * torch.randn(n, 2)


def mlp(inputs, outputs, wrap=lambda m: m, width=64):
    return nn.Sequential(
        wrap(nn.Linear(inputs, width)), nn.LeakyReLU(0.2), wrap(nn.Linear(width, width)), nn.LeakyReLU(0.2),
        wrap(nn.Linear(width, width)), nn.LeakyReLU(0.2), wrap(nn.Linear(width, outputs)),
    )


def mmd(x, y):
    def k(u, v):
        d = torch.cdist(u, v) ** 2
        return sum(torch.exp(-d / s) for s in (0.05, 0.5, 2.0)).mean()

    return (k(x, x) + k(y, y) - 2 * k(x, y)).item()


def coverage(points):
    d = torch.cdist(points, CENTRES)
    near, who = d.min(1)
    good = near < 0.45
    return good.float().mean().item(), len(set(who[good].tolist())) / 8


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp(16, 2)

    def forward(self, z):
        return self.net(z)


wasserstein = a.habit == "wgan_gp"
G = Generator()
D = mlp(2, 1, spectral_norm if a.habit == "hinge_spectral" else (lambda m: m))
ema = copy.deepcopy(G).requires_grad_(False)
betas = (0.0, 0.9) if wasserstein else (0.5, 0.99)
opt_g = torch.optim.Adam(G.parameters(), lr=3e-4 if a.habit == "two_rates" else 1e-3, betas=betas)
opt_d = torch.optim.Adam(D.parameters(), lr=1e-3, betas=betas)
real_data = ring(5120)
loader = DataLoader(TensorDataset(real_data), batch_size=128, shuffle=True, drop_last=True)
held_out = ring(1000)


def penalty(real, fake):
    mix = torch.rand(len(real), 1)
    between = (mix * real + (1 - mix) * fake).requires_grad_(True)
    (g,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
    return ((g.norm(2, dim=1) - 1) ** 2).mean()


def critic_step(real):
    with torch.no_grad():
        fake = G(torch.randn(len(real), 16))
    r, f = D(real), D(fake)
    if wasserstein:
        loss = f.mean() - r.mean() + 1.0 * penalty(real, fake)
    elif a.habit == "hinge_spectral":
        loss = F.relu(1 - r).mean() + F.relu(1 + f).mean()
    elif a.habit == "least_squares":
        loss = ((r - 1) ** 2).mean() + (f**2).mean()
    else:
        target = 0.9 if a.habit == "one_sided_smoothing" else 1.0
        loss = F.binary_cross_entropy_with_logits(r, torch.full_like(r, target))
        loss = loss + F.binary_cross_entropy_with_logits(f, torch.zeros_like(f))
        loss = loss + 0.1 * penalty(real, fake)
    opt_d.zero_grad()
    loss.backward()
    opt_d.step()
    return loss.detach()


def generator_step(n):
    score = D(G(torch.randn(n, 16)))
    if wasserstein or a.habit == "hinge_spectral":
        loss = -score.mean()
    elif a.habit == "least_squares":
        loss = ((score - 1) ** 2).mean()
    else:
        loss = F.softplus(-score).mean()
    opt_g.zero_grad()
    loss.backward()
    opt_g.step()
    with torch.no_grad():
        for slow, fast in zip(ema.parameters(), G.parameters()):
            slow.lerp_(fast, 0.005)
    return loss.detach()


critics = 3 if wasserstein else 1
with lvmcheck.record(a.out, config={"epochs": 20, "critics": critics, **vars(a)}) as rec:
    g_loss, step = torch.zeros(()), 0
    for epoch in range(20):
        for (real,) in loader:
            d_loss = critic_step(real)
            step += 1
            if step % critics == 0:
                g_loss = generator_step(128)
            rec.step(loss=d_loss + g_loss, d_loss=d_loss, g_loss=g_loss)
        used = ema if a.habit == "ema_samples" else G
        with torch.no_grad():
            points = used(torch.randn(1000, 16))
        quality, modes = coverage(points)
        rec.epoch(epoch, mmd=mmd(points, held_out), on_mode=quality, modes=modes)
        print(epoch, d_loss.item(), g_loss.item(), quality, modes)
