"""A generator of points on a ring of eight, and its critic."""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck
from .common import moved, snapshot

TASK = "generative adversarial net"


def ring(n, g=None):
    k = torch.randint(0, 8, (n,), generator=g).float() * math.pi / 4
    return torch.stack([k.cos(), k.sin()], 1) * 1.5 + 0.08 * torch.randn(n, 2, generator=g)


def mlp(i, o, act):
    return nn.Sequential(nn.Linear(i, 96), act, nn.Linear(96, 96), act, nn.Linear(96, o))


def energy(a, b):
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(17)
    G, D = mlp(4, 2, nn.ReLU()), mlp(2, 1, nn.LeakyReLU(0.2))
    g0, d0 = snapshot(G), snapshot(D)
    glr, dlr = (1e-4, 4e-4) if habit == "two_time_scales" else (1e-3, 1e-3)
    if broken == "discriminator_rate_zero":
        dlr = 0.0
    if broken == "critic_overwhelms":
        glr = 1e-7
    opt_g = torch.optim.Adam((D if broken == "generator_optimizer_has_critic" else G).parameters(), lr=glr, betas=(0.5, 0.9))
    opt_d = torch.optim.Adam(D.parameters(), lr=dlr, betas=(0.5, 0.9))
    real_val = ring(800, torch.Generator().manual_seed(1))
    steps = 1200 if habit != "two_time_scales" else 1800
    bce = F.binary_cross_entropy_with_logits
    start = energy(G(torch.randn(800, 4)).detach(), real_val)
    e = None
    with lvmcheck.record(rec_dir, config={"steps": steps, "g_lr": glr, "d_lr": dlr, "batch": 128}) as rec:
        if watch:
            rec.watch(nn.ModuleDict({"G": G, "D": D}) if habit == "watched_together" else G, [opt_g, opt_d] if habit == "watched_together" else opt_g)
            if habit != "watched_together":
                rec.watch(D, opt_d)
        for s in range(steps):
            real = ring(128)
            fake = G(torch.randn(128, 4))
            if broken == "latent_constant":
                fake = G(torch.zeros(128, 4))
            r, f = D(real), D(fake.detach())
            if habit == "gradient_penalty":
                eps = torch.rand(128, 1)
                mix = (eps * real + (1 - eps) * fake.detach()).requires_grad_(True)
                grad, = torch.autograd.grad(D(mix).sum(), mix, create_graph=True)
                loss_d = f.mean() - r.mean() + 1.0 * ((grad.norm(dim=1) - 1) ** 2).mean()
            elif habit == "hinge":
                loss_d = F.relu(1 - r).mean() + F.relu(1 + f).mean()
            elif broken == "labels_swapped_for_critic":
                loss_d = bce(r, torch.ones_like(r)) + bce(f, torch.ones_like(f))
            else:
                loss_d = bce(r, torch.ones_like(r)) + bce(f, torch.zeros_like(f))
            opt_d.zero_grad(); loss_d.backward(); opt_d.step()
            if broken == "generator_sees_detached_fakes":
                out = D(fake.detach())
            else:
                out = D(fake)
            if habit in ("gradient_penalty", "hinge"):
                loss_g = -out.mean()
            elif broken == "generator_goal_swapped":
                loss_g = bce(out, torch.zeros_like(out))
            else:
                loss_g = bce(out, torch.ones_like(out))
            opt_g.zero_grad(); loss_g.backward(); opt_g.step()
            rec.step(loss=loss_g, loss_d=loss_d, d_real=r.sigmoid().mean(), d_fake=f.sigmoid().mean())
            if (s + 1) % 150 == 0:
                with torch.no_grad():
                    e = energy(G(torch.randn(800, 4)), real_val)
                if habit != "losses_only":
                    rec.log(energy_distance=e, step=s + 1)
    with torch.no_grad():
        e = energy(G(torch.randn(800, 4)), real_val)
    return dict(score=-e, trivial=-start, good=-0.15, reported=None, g=moved(g0, G), d=moved(d0, D))


HEALTHY = {
    "base": "the losses of the two players rise and fall, samples get better",
    "two_time_scales": "two learning rates",
    "gradient_penalty": "Wasserstein losses below zero with a gradient penalty",
    "hinge": "hinge losses",
    "losses_only": "only the losses are logged",
    "watched_together": "both players in one container",
}
BROKEN = [
    ("discriminator_rate_zero", "the critic's learning rate is 0", "learning rate zero for one part", "both", "r['d']==0"),
    ("critic_overwhelms", "the generator's learning rate is 1e-7", "learning rate far too low for one part", "both"),
    ("generator_optimizer_has_critic", "the generator's optimizer is given the critic's parameters", "optimizer holds the wrong model", "both", "r['g']==0"),
    ("latent_constant", "the generator is fed zeros", "an input is constant", "curves"),
    ("labels_swapped_for_critic", "the critic's labels are ones for fakes as well", "constant targets", "both"),
    ("generator_sees_detached_fakes", "the generator's loss is computed on detached samples", "part of the graph is detached", "both", "r['g']==0"),
    ("generator_goal_swapped", "the generator is rewarded when the critic finds it out", "targets swapped", "both"),
]
