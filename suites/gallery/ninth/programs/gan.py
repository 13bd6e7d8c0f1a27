"""GAN on a ring of eight overlapping clumps (2-d plus a correlated third coordinate)."""
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck
from options import options

torch.set_num_threads(1)


def real_data(n):
    k = torch.randint(0, 8, (n,))
    k = torch.where(torch.rand(n) < 0.3, torch.zeros_like(k), k)   # one clump is heavier
    a = k * 0.7854
    xy = 1.5 * torch.stack([a.cos(), a.sin()], 1) + 0.14 * torch.randn(n, 2)
    return torch.cat([xy, xy[:, :1] * xy[:, 1:] + 0.1 * torch.randn(n, 1)], 1)


def generator():
    return nn.Sequential(nn.Linear(12, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, 3))


def discriminator(fault):
    layers = [nn.Linear(3, 96), nn.LeakyReLU(0.2), nn.Linear(96, 96), nn.LeakyReLU(0.2), nn.Linear(96, 1)]
    if fault == "sigmoid_logits":
        layers.append(nn.Sigmoid())
    return nn.Sequential(*layers)


def energy_distance(a, b):
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


def evaluate(G, real, z, fault):
    G.eval()
    with torch.no_grad():
        fake = G(z)
    if fault != "stays_eval":
        G.train()
    ang = torch.atan2(fake[:, 1], fake[:, 0]) / 0.7854
    near = (fake[:, :2].norm(dim=1) - 1.5).abs() < 0.4
    clumps = len(set((ang.round().long() % 8)[near].tolist()))
    return {"eval_energy_distance": energy_distance(fake, real), "eval_clumps": clumps}


def gradient_penalty(D, real, fake):
    mix = torch.rand(len(real), 1)
    x = (mix * real + (1 - mix) * fake).requires_grad_()
    g, = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return ((g.norm(dim=1) - 1) ** 2).mean()


def main():
    o = options()
    torch.manual_seed(7)
    train, held = real_data(4000), real_data(600)
    G, D = generator(), discriminator(o.fault)
    lr_g, lr_d = 1e-3, 5e-4
    opt_d = torch.optim.Adam(D.parameters(), lr=lr_d, betas=(0.5, 0.9))
    if o.fault == "copy_paste":
        opt_g = torch.optim.Adam(D.parameters(), lr=lr_g, betas=(0.5, 0.9))
    else:
        opt_g = torch.optim.Adam(G.parameters(), lr=lr_g, betas=(0.5, 0.9))
    B, iters = 128, 420
    d_steps = 3 if o.habit == "wgan_gp" else 1
    if d_steps > 1:
        iters = 210
    fixed = torch.randn(600, 12)
    one, zero = torch.ones(B, 1), torch.zeros(B, 1)
    real_label = 0.9 * one if o.habit == "one_sided" else one
    with lvmcheck.record(o.out, config={"iterations": iters, "batch_size": B, "lr_g": lr_g, "lr_d": lr_d, "d_steps": d_steps}, **o.extra) as rec:
        for it in range(1, iters + 1):
            for _ in range(d_steps):
                real = train[torch.randint(0, len(train), (B,))]
                z = fixed[:B] if o.fault == "fixed_noise" else torch.randn(B, 12)
                opt_g.zero_grad()
                opt_d.zero_grad()
                fake = G(z)
                fake_in = fake if o.fault == "no_detach" else fake.detach()
                p_real, p_fake = D(real), D(fake_in)
                if o.habit == "wgan_gp":
                    d_loss = p_fake.mean() - p_real.mean() + 2 * gradient_penalty(D, real, fake.detach())
                elif o.habit == "hinge":
                    d_loss = F.relu(1 - p_real).mean() + F.relu(1 + p_fake).mean()
                else:
                    d_loss = F.binary_cross_entropy_with_logits(p_real, real_label) + F.binary_cross_entropy_with_logits(p_fake, zero)
                d_loss.backward(retain_graph=o.fault == "no_detach")
                opt_d.step()
            if o.fault != "no_detach":
                fake = G(z)
            score = D(fake)
            if o.habit in ("hinge", "wgan_gp"):
                g_loss = -score.mean()
            elif o.fault == "g_target":
                g_loss = F.binary_cross_entropy_with_logits(score, zero)
            else:
                g_loss = F.binary_cross_entropy_with_logits(score, one)
            g_loss.backward()
            opt_g.step()
            if it % 10 == 0:
                rec.log(d_loss=d_loss.item(), g_loss=g_loss.item(), D_real=p_real.mean().item(), D_fake=p_fake.mean().item(), step=it)
            if it % 35 == 0:
                rec.log(evaluate(G, held, fixed, o.fault), step=it)


if __name__ == "__main__":
    main()
