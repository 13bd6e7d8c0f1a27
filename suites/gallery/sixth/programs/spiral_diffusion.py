"""Denoising diffusion of points on a spiral; only steps are recorded, sampled at the end."""
import copy
import math
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
import lvmcheck
from common import options, facts

TASK = "denoising diffusion"
FAULTS = {
    "another_noise": ("the target is a new draw of noise, not the noise that was added", ["label_mismatch", "not_learning", "label_noise"], False),
    "ema_forgotten": ("samples come from a moving average that is never updated", ["copy_never_updated"], True),
    "first_batch_again": ("next(iter(loader)) within the loop, loader without shuffle", ["one_batch_repeated", "rows_never_shuffled", "memorisation"], True),
    "zero_grad_behind_backward": ("zero_grad stands between backward and step", ["zero_grad_before_step", "weights_never_move"], True),
    "step_twice": ("optimizer.step() is called twice a batch", ["step_repeated"], True),
    "decay_per_step": ("weight_decay=1 with AdamW at learning rate 0.05", ["weight_decay_destroys", "learning_rate_too_high", "undertrained"], True),
}
HABITS = {"": "noisy loss that flattens early, no evaluation", "warm_start": "goes on from trained weights: the loss is flat from the start", "large_steps_each_25": "logged each 25th step"}
K = 100


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Embedding(K, 32)
        self.a, self.b, self.c = nn.Linear(2, 96), nn.Linear(128, 96), nn.Linear(96, 2)

    def forward(self, x, t):
        h = F.silu(self.a(x))
        return self.c(F.silu(self.b(torch.cat([h, self.time(t)], 1))))


def spiral(n):
    r = torch.rand(n).sqrt() * 3 * math.pi
    p = torch.stack([r * r.cos(), r * r.sin()], 1) / 5
    return p + .03 * torch.randn(n, 2)


def distance(model, bar, beta):
    """Mean distance of samples to the spiral."""
    x = torch.randn(400, 2)
    with torch.no_grad():
        for t in reversed(range(K)):
            e = model(x, torch.full((400,), t))
            x = (x - beta[t] / (1 - bar[t]).sqrt() * e) / (1 - beta[t]).sqrt()
            if t:
                x = x + beta[t].sqrt() * torch.randn_like(x)
    return torch.cdist(x.nan_to_num(9).clamp(-9, 9), spiral(3000)).min(1).values.mean()


def main():
    o = options()
    torch.manual_seed(12)
    beta = torch.linspace(1e-4, .08, K)
    bar = (1 - beta).cumprod(0)
    loader = DataLoader(TensorDataset(spiral(5120)), batch_size=256, shuffle=o.fault != "first_batch_again", drop_last=True)
    model = Denoiser()
    ema = copy.deepcopy(model)
    lr = .05 if o.fault == "decay_per_step" else 4e-3
    opt = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=1. if o.fault == "decay_per_step" else 1e-4)

    def loss_on(x):
        t = torch.randint(0, K, (len(x),))
        noise = torch.randn_like(x)
        noisy = bar[t].sqrt()[:, None] * x + (1 - bar[t]).sqrt()[:, None] * noise
        if o.fault == "another_noise":
            noise = torch.randn_like(x)
        return F.mse_loss(model(noisy, t), noise)

    if o.habit == "warm_start":
        for _ in range(30):
            for (x,) in loader:
                opt.zero_grad()
                loss_on(x).backward()
                opt.step()
        opt.param_groups[0]["lr"] = lr = 1e-3
        ema.load_state_dict(model.state_dict())
    step, total = 0, 500 if o.habit == "warm_start" else 1200
    with lvmcheck.record(o.out, config={"steps": total, "lr": lr, "timesteps": K}) as rec:
        if o.watch:
            rec.watch(model, opt, train=loader)
        while step < total:
            for (x,) in loader:
                if o.fault == "first_batch_again":
                    x = next(iter(loader))[0]
                loss = loss_on(x)
                opt.zero_grad()
                loss.backward()
                if o.fault == "zero_grad_behind_backward":
                    opt.zero_grad()
                opt.step()
                if o.fault == "step_twice":
                    opt.step()
                if o.fault != "ema_forgotten":
                    with torch.no_grad():
                        for p, q in zip(ema.parameters(), model.parameters()):
                            p.lerp_(q, .01)
                step += 1
                if o.habit == "large_steps_each_25":
                    rec.step(loss=loss.detach()) if step % 25 == 0 else None
                else:
                    rec.step(loss=loss.detach(), lr=lr)
                if o.fault == "ema_forgotten" and step % 200 == 0:
                    with torch.no_grad():
                        ema(x[:64], torch.zeros(64, dtype=torch.long))
        score = distance(ema, bar, beta)
        rec.log(sample_distance=score)
    far = torch.cdist(torch.randn(400, 2), spiral(3000)).min(1).values.mean()
    facts(score=score, trivial=far, lower_is_better=True, loss=loss)


if __name__ == "__main__":
    main()
