"""A GAN of eight points on a ring, generator and discriminator watched."""
import math
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "generative adversarial network"
FAULTS = {
    "wrong_optimizer": ("the optimizer of the generator is given the parameters of the discriminator", ["parameters_not_optimized", "optimizer_of_former_model", "weights_never_move", "parameters_updated_twice"], True),
    "generator_wants_zero": ("the generator is trained with the label of fakes", ["loss_sign", "label_mismatch"], False),
    "fakes_detached": ("fakes are detached for the step of the generator too", ["graph_cut"], True),
    "noise_of_zeros": ("the generator is fed torch.zeros", ["outputs_collapsed", "inputs_ignored", "collapsed_representation"], True),
    "discriminator_idle": ("d_opt.step() is missing", ["step_missing", "weights_never_move"], True),
    "sigmoid_twice": ("the discriminator ends in a sigmoid, the loss takes logits", ["softmax_too_many"], True),
    "fast_critic": ("learning rate of the discriminator is 0.3", ["learning_rate_too_high", "updates_out_of_range", "diverging"], True),
}
HABITS = {"": "losses that do not fall", "hinge": "hinge losses, negative for the generator", "two_updates": "two updates of the discriminator per step"}


def ring(n):
    a = torch.randint(0, 8, (n,)) * math.pi / 4
    return torch.stack([a.cos(), a.sin()], 1) * 2 + .08 * torch.randn(n, 2)


def quality(g, fault):
    with torch.no_grad():
        x = g(torch.zeros(800, 8) if fault == "noise_of_zeros" else torch.randn(800, 8))
    a = torch.arange(8) * math.pi / 4
    d = torch.cdist(x, torch.stack([a.cos(), a.sin()], 1) * 2)
    near = d.min(1)
    good = near.values < .35
    modes = (torch.bincount(near.indices[good], minlength=8) > 15).sum()
    return good.float().mean(), modes


def main():
    o = options()
    torch.manual_seed(13)
    g = nn.Sequential(nn.Linear(8, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 2))
    d = nn.Sequential(nn.Linear(2, 96), nn.LeakyReLU(.2), nn.Linear(96, 96), nn.LeakyReLU(.2), nn.Linear(96, 1))
    if o.fault == "sigmoid_twice":
        d.append(nn.Sigmoid())
    g_opt = torch.optim.Adam((d if o.fault == "wrong_optimizer" else g).parameters(), lr=1e-3, betas=(.5, .9))
    d_opt = torch.optim.Adam(d.parameters(), lr=.3 if o.fault == "fast_critic" else 1e-3, betas=(.5, .9))
    bce = F.binary_cross_entropy_with_logits
    steps = 1200
    with lvmcheck.record(o.out, config={"steps": steps, "lr": 1e-3, "batch_size": 128}) as rec:
        if o.watch:
            rec.watch(g, g_opt)
            rec.watch(d, d_opt)
        for step in range(1, steps + 1):
            for _ in range(2 if o.habit == "two_updates" else 1):
                z = torch.randn(128, 8)
                if o.fault == "noise_of_zeros":
                    z = torch.zeros(128, 8)
                real, fake = d(ring(128)), d(g(z).detach())
                if o.habit == "hinge":
                    d_loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
                else:
                    d_loss = (bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))) / 2
                d_opt.zero_grad()
                d_loss.backward()
                if o.fault != "discriminator_idle":
                    d_opt.step()
            x = g(z)
            fake = d(x.detach() if o.fault == "fakes_detached" else x)
            if o.habit == "hinge":
                g_loss = -fake.mean()
            else:
                g_loss = bce(fake, torch.zeros_like(fake) if o.fault == "generator_wants_zero" else torch.ones_like(fake))
            g_opt.zero_grad()
            g_loss.backward()
            g_opt.step()
            rec.step(loss=g_loss.detach(), d_loss=d_loss.detach(), g_loss=g_loss.detach())
            if step % 200 == 0:
                share, modes = quality(g, o.fault)
                rec.log(share_on_ring=share, modes=modes)
    facts(score=share, trivial=.06, modes=modes, g=g_loss, d=d_loss)


if __name__ == "__main__":
    main()
