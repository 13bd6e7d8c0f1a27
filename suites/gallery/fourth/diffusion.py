"""Denoising diffusion of points on two moons."""
import copy
import math
import torch
import torch.nn as nn
import lvmcheck

TASK = "diffusion"
T = 60


def moons(n, g):
    a = math.pi * torch.rand(n, generator=g)
    up = torch.rand(n, generator=g) < 0.5
    p = torch.stack([torch.where(up, a.cos(), 1 - a.cos()), torch.where(up, a.sin(), 0.5 - a.sin())], 1)
    return (p - torch.tensor([0.5, 0.25])) * 1.3 + 0.03 * torch.randn(n, 2, generator=g)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 + 32, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2))
        nn.init.zeros_(self.net[-1].weight)

    def forward(self, x, t):
        f = torch.exp(-math.log(1000) * torch.arange(16) / 16) * t[:, None] * 2
        return self.net(torch.cat([x, f.sin(), f.cos()], 1))


betas = torch.linspace(1e-3, 0.12, T)
abar = (1 - betas).cumprod(0)


def noise_loss(model, x):
    """Honest: mean squared error of the noise at all times, fixed noise."""
    g = torch.Generator().manual_seed(99)
    with torch.no_grad():
        x = x.repeat(4, 1)
        t = torch.randint(0, T, (len(x),), generator=g)
        e = torch.randn(x.shape, generator=g)
        a = abar[t][:, None]
        return ((model(a.sqrt() * x + (1 - a).sqrt() * e, t) - e) ** 2).mean().item()


def sample(model, n, g):
    x = torch.randn(n, 2, generator=g)
    with torch.no_grad():
        for t in reversed(range(T)):
            e = model(x, torch.full((n,), t))
            x = (x - betas[t] / (1 - abar[t]).sqrt() * e) / (1 - betas[t]).sqrt()
            if t:
                x = x + betas[t].sqrt() * torch.randn(n, 2, generator=g)
    return x


def chamfer(a, b):
    d = torch.cdist(a.nan_to_num(1e3), b)
    return (d.min(0).values.mean() + d.min(1).values.mean()).item()


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(40)
    g = torch.Generator().manual_seed(40)
    x, val = moons(5000, g), moons(500, g)
    model = Denoiser()
    ema = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    n_iter = 1000
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_iter)
    if broken == "resume_resets_schedule":
        cosine = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.97)
    a_used = (1 - betas) if broken == "alphas_not_cumulated" else abar
    dist = None
    with lvmcheck.record(rec_dir, config={"iterations": n_iter, "lr": 2e-3, "T": T, "ema": 0.995}) as rec:
        if watch:
            rec.watch(model, optimizer, cosine)
        for it in range(n_iter):
            xb = x[torch.randint(0, 5000, (200,))]
            t = torch.randint(0, T, (200,))
            if broken == "one_timestep_only":
                t = torch.full((200,), T - 1)
            e = torch.randn_like(xb)
            a = a_used[t][:, None]
            xt = a.sqrt() * xb + (1 - a).sqrt() * e
            if broken == "time_not_passed":
                out = model(xt, torch.zeros_like(t))
            else:
                out = model(xt, t)
            if broken == "compared_with_fresh_noise":
                e = torch.randn_like(xb)
            if broken == "predicts_clean_samples_as_noise":
                e = xb
            if broken == "noise_broadcast":
                loss = ((out[:, None] - e[None]) ** 2).mean()
            else:
                loss = ((out - e) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cosine.step()
            with torch.no_grad():
                for p, q in zip(ema.parameters(), model.parameters()):
                    if broken != "ema_never_updated":
                        p.lerp_(q, 0.01)
            rec.step(loss=loss.item(), lr=cosine.get_last_lr()[0])
            if (it + 1) % 200 == 0 and habit != "training_loss_only":
                used = ema
                dist = chamfer(sample(used, 300, torch.Generator().manual_seed(1)), val)
                vl = noise_loss(used, val)
                if habit == "epoch_names":
                    rec.epoch((it + 1) // 200, val_noise_mse=vl)
                else:
                    rec.log({"eval/noise_mse": vl, "eval/chamfer": dist}, step=it + 1)
    honest = noise_loss(model, val)
    return dict(score=-honest, trivial=-1.0, good=-0.6, reported=None if dist is None else -vl, lr=cosine.get_last_lr()[0],
                ema_loss=noise_loss(ema, val))


HEALTHY = {
    "base": "two moons, noise prediction, averaged weights for samples, cosine schedule",
    "training_loss_only": "only the noisy training loss is logged",
    "epoch_names": "two hundred steps are called an epoch, counted from 1",
}
BROKEN = [
    ("resume_resets_schedule", "an exponential schedule meant for epochs is stepped by iteration", "schedule counted in batches in place of epochs", "both", "r['lr']<1e-9"),
    ("alphas_not_cumulated", "single-step alphas are used where their product belongs", "formula misses a cumulative product", "curves"),
    ("one_timestep_only", "a debugging line trains the last time step only", "one value in place of random ones", "both"),
    ("time_not_passed", "the time given to the model is always zero", "an input is constant", "curves"),
    ("compared_with_fresh_noise", "the target is noise drawn anew", "targets are independent of the inputs", "both"),
    ("predicts_clean_samples_as_noise", "the model learns clean samples, sampling takes them for noise", "training and use disagree on what is predicted", "curves"),
    ("noise_broadcast", "an extra axis compares every output with every noise of the batch", "shapes broadcast in the loss", "both"),
    ("ema_never_updated", "averaged weights are evaluated but never updated", "averaged weights never updated", "both", "r['ema_loss']>0.9"),
]
