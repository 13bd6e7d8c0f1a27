"""A GAN for four Gaussians on a ring. Two models, two optimizers."""
import math

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(6)
MODES = torch.tensor([[math.cos(k * math.pi / 2), math.sin(k * math.pi / 2)] for k in range(4)])


def real(n):
    return MODES[torch.randint(0, 4, (n,))] + 0.15 * torch.randn(n, 2)


def mlp(i, k, act):
    return nn.Sequential(nn.Linear(i, 64), act(), nn.Linear(64, 64), act(), nn.Linear(64, k))


G, D = mlp(6, 2, nn.ReLU), mlp(2, 1, lambda: nn.LeakyReLU(0.2))
lr_d = 2e-3
opt_g = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.99))
opt_d = torch.optim.Adam(D.parameters() if o.fault != "wrong_parameters_in_optimizer" else G.parameters(), lr=lr_d, betas=(0.5, 0.99))
STEPS, N = 800, 96
frozen_z = torch.randn(N, 6)


def d_loss_of(r, f):
    if o.habit == "wasserstein":
        return D(f).mean() - D(r).mean()
    if o.habit == "hinge":
        return F.relu(1 - D(r)).mean() + F.relu(1 + D(f)).mean()
    sr, sf = D(r), D(f)
    return F.binary_cross_entropy_with_logits(sr, torch.ones_like(sr)) + F.binary_cross_entropy_with_logits(sf, torch.zeros_like(sf))


def g_loss_of(f):
    s = D(f)
    if o.habit in ("wasserstein", "hinge"):
        return -s.mean()
    goal = torch.zeros_like(s) if o.fault == "generator_labels_swapped" else torch.ones_like(s)
    return F.binary_cross_entropy_with_logits(s, goal)


@torch.no_grad()
def quality():
    x = G(torch.randn(1000, 6))
    dist, near = torch.cdist(x, MODES).min(1)
    good = dist < 0.45
    covered = torch.bincount(near[good], minlength=4) > 50
    return good.float().mean().item(), int(covered.sum())


with lvmcheck.record(o.out, config={"model": "gan", "steps": STEPS, "batch": N}) as rec:
    if o.watch:
        rec.watch(G, opt_g)
        rec.watch(D, opt_d)
    for step in range(1, STEPS + 1):
        for _ in range(3 if o.habit == "wasserstein" else 1):
            z = frozen_z if o.fault == "noise_drawn_once" else torch.randn(N, 6)
            dl = d_loss_of(real(N), G(z).detach())
            opt_d.zero_grad()
            dl.backward()
            opt_d.step()
            if o.habit == "wasserstein":
                with torch.no_grad():
                    for p in D.parameters():
                        p.clamp_(-0.1, 0.1)
        z = frozen_z if o.fault == "noise_drawn_once" else torch.randn(N, 6)
        fake = G(z)
        if o.fault == "fake_detached_for_generator":
            fake = fake.detach()
        gl = g_loss_of(fake)
        opt_g.zero_grad()
        gl.backward()
        opt_g.step()
        if step % 10 == 0:
            rec.log(d_loss=dl, g_loss=gl, step=step)
        if step % 100 == 0:
            near, modes = quality()
            rec.log(val_near_mode=near, val_modes=modes, step=step)
