"""Affine couplings on a spiral of points."""
import math
import torch
from torch import nn
import lvmcheck
from .common import moved, snapshot

TASK = "normalising flow"


def spiral(n, g):
    r = torch.rand(n, generator=g).sqrt() * 3 * math.pi
    p = torch.stack([r.cos() * r, r.sin() * r], 1) / 6 + 0.08 * torch.randn(n, 2, generator=g)
    return torch.cat([p, (p[:, :1] * p[:, 1:]) + 0.1 * torch.randn(n, 1, generator=g), 0.2 * torch.randn(n, 1, generator=g)], 1)


class Coupling(nn.Module):
    def __init__(self, odd):
        super().__init__()
        self.odd = odd
        self.st = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 4))
        nn.init.zeros_(self.st[-1].weight)
        nn.init.zeros_(self.st[-1].bias)

    def forward(self, x):
        a, b = (x[:, ::2], x[:, 1::2]) if not self.odd else (x[:, 1::2], x[:, ::2])
        s, t = self.st(a).chunk(2, 1)
        s = torch.tanh(s) * 2
        b = b * s.exp() + t
        y = torch.stack([b, a] if self.odd else [a, b], 2).flatten(1)
        return y, s.sum(1)


class Flow(nn.Module):
    def __init__(self, same=False):
        super().__init__()
        self.layers = nn.ModuleList([Coupling(bool(i % 2) and not same) for i in range(6)])

    def forward(self, x):
        total = 0
        for l in self.layers:
            x, d = l(x)
            total = total + d
        return x, total


def log_prob(flow, x):
    z, d = flow(x)
    return -0.5 * (z ** 2).sum(1) - 2 * math.log(2 * math.pi) + d


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(30)
    g = torch.Generator().manual_seed(30)
    x, xv = spiral(4000, g), spiral(800, g)
    if broken == "no_masks_alternate":
        flow = Flow(same=True)
    else:
        flow = Flow()
    w0 = snapshot(flow)
    kw = {"weight_decay": 5.0} if broken == "weight_decay_in_adam" else {}
    opt = torch.optim.Adam(flow.parameters(), lr=1.0 if broken == "lr_too_high" else 2e-3, **kw)
    E = 14
    best, wait = 1e9, 0
    done = E
    with lvmcheck.record(rec_dir, config={"epochs": E, "lr": 2e-3, "patience": 3} if habit == "early_stop" else {"epochs": E, "lr": 2e-3}) as rec:
        if watch:
            print(lvmcheck.preflight(flow, x[:100], loss=lambda model, batch: -log_prob(model, batch).mean(), optimizer=opt))
            rec.watch(flow, opt, train=[x[i] for i in torch.arange(4000).split(100)])
        for ep in range(E):
            for i in torch.randperm(4000).split(100):
                xb = x[i]
                z, logdet = flow(xb)
                prior = -0.5 * (z ** 2).sum(1) - 2 * math.log(2 * math.pi)
                if broken == "log_determinant_missing":
                    nll = -prior.mean()
                elif broken == "log_determinant_sign":
                    nll = -(prior - logdet).mean()
                elif broken == "log_determinant_detached":
                    nll = -(prior + logdet.detach()).mean()
                else:
                    nll = -(prior + logdet).mean()
                if habit == "bits_scaled":
                    nll = nll / math.log(2) / 4
                opt.zero_grad()
                nll.backward()
                opt.step()
                rec.step(loss=nll)
            with torch.no_grad():
                v = -log_prob(flow, xv).mean().item()
            if broken == "value_of_last_batch_of_training":
                with torch.no_grad():
                    v = -log_prob(flow, xb[:1] * 0).mean().item()
            rec.epoch(ep, val_nll=v)
            wait = 0 if v < best - 1e-3 else wait + 1
            best = min(v, best)
            if broken == "stops_on_wrong_comparison" and ep > 0 and v < 1e9:
                done = ep + 1
                break
            if habit == "early_stop" and wait >= 3:
                done = ep + 1
                rec.early("validation has not improved for 3 epochs")
                break
    c = torch.cov(x.T)
    m = torch.distributions.MultivariateNormal(x.mean(0), c)
    with torch.no_grad():
        s = log_prob(flow, xv).mean().item()
    t = m.log_prob(xv).mean().item()
    return dict(score=max(s, -1e6) if math.isfinite(s) else -1e6, trivial=t, good=t + 0.6, reported=-v, done=done, moved=moved(w0, flow))


HEALTHY = {
    "base": "negative log likelihood, coupling nets start at zero",
    "bits_scaled": "the loss is in bits per dimension",
    "early_stop": "early stopping with a patience of three epochs",
}
BROKEN = [
    ("no_masks_alternate", "every layer transforms the same half", "part of the data is never transformed", "curves"),
    ("weight_decay_in_adam", "weight decay of 5 in Adam", "weight decay far too strong", "both"),
    ("lr_too_high", "learning rate 1.0", "learning rate far too high", "both"),
    ("log_determinant_missing", "the log determinant is left out", "a loss term is missing", "curves"),
    ("log_determinant_sign", "the log determinant is subtracted", "a loss term has the wrong sign", "both"),
    ("log_determinant_detached", "the log determinant is detached", "part of the graph is detached", "curves"),
    ("value_of_last_batch_of_training", "validation is computed on one row of zeros", "validation on constant data", "curves"),
    ("stops_on_wrong_comparison", "early stopping compares the wrong way and ends after two epochs", "training stops too early", "both", "r['done']<=2"),
]
