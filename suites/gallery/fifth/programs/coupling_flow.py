"""Normalising flow on a two-dimensional ring; the loss is a negative log-likelihood and may be negative."""
import math
import torch
from torch import nn
import lvmcheck
from common import options, facts

TASK = "normalising flow"
FAULTS = {
    "logdet_subtracted": ("the log-determinant is subtracted from the likelihood", ["loss_sign", "diverging", "numeric_range", "exploding_gradient"], True),
    "half_overflow": ("exp of the scale in float16", ["numeric_range", "module_makes_nan"], True),
    "lr_thousandth": ("learning rate 5e-6", ["learning_rate_too_low", "updates_out_of_range", "undertrained"], True),
    "lr_hundredfold": ("learning rate 0.5", ["learning_rate_too_high", "diverging", "updates_out_of_range", "numeric_range", "exploding_gradient", "gradients_leap", "module_makes_nan", "units_saturated"], True),
    "best_is_alias": ("best = model.state_dict() without a copy, restored at the end", ["best_aliases_last"], True),
    "one_coupling_trained": ("the optimizer takes flow[0].parameters()", ["parameters_not_optimized"], True),
}
HABITS = {"": "negative log-likelihood of ring", "small_units": "data in hundredths: the loss is far below 0", "warm_restarts": "cosine with warm restarts"}


class Coupling(nn.Module):
    def __init__(self, flip, half):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 2))
        self.flip, self.half = flip, half

    def forward(self, x):
        a, b = (x[:, 1:], x[:, :1]) if self.flip else (x[:, :1], x[:, 1:])
        s, t = self.net(a).chunk(2, 1)
        s = s.tanh() * 2 if not self.half else s * 9
        e = s.half().exp().float() if self.half else s.exp()
        b = b * e + t
        return torch.cat([b, a] if self.flip else [a, b], 1), s.squeeze(1)


class Flow(nn.Module):
    def __init__(self, half):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(i % 2 == 1, half) for i in range(6))

    def forward(self, x):
        ld = 0
        for c in self.layers:
            x, s = c(x)
            ld = ld + s
        return x, ld


def ring(n, unit):
    a = torch.rand(n) * 6.28318
    r = 1 + .08 * torch.randn(n)
    return torch.stack([r * a.cos() + .5 * a.sin(), r * a.sin()], 1) * unit


def main():
    o = options()
    torch.manual_seed(6)
    unit = .01 if o.habit == "small_units" else 1.
    x, v = ring(3000, unit), ring(800, unit)
    scale = x.std(0)
    flow = Flow(o.fault == "half_overflow")
    lr = {"lr_thousandth": 5e-6, "lr_hundredfold": .5}.get(o.fault, 5e-3)
    opt = torch.optim.Adam(flow.layers[0].parameters() if o.fault == "one_coupling_trained" else flow.parameters(), lr=lr)
    sched = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, 60) if o.habit == "warm_restarts" else None

    def nll(b):
        z, ld = flow(b / scale)
        ld = ld - scale.log().sum()
        if o.fault == "logdet_subtracted":
            ld = -ld
        return (.5 * z.square().sum(1) + math.log(2 * math.pi) - ld).mean()
    best, keep = 1e9, None
    with lvmcheck.record(o.out, config={"lr": lr, "couplings": 6}) as rec:
        if o.watch:
            rec.watch(flow, opt, sched)
        for e in range(10):
            for r in torch.randperm(3000).split(100):
                loss = nll(x[r])
                opt.zero_grad()
                loss.backward()
                gn = nn.utils.clip_grad_norm_(flow.parameters(), 20.)
                opt.step()
                if sched:
                    sched.step()
                rec.step(loss=loss, grad_norm=gn, lr=opt.param_groups[0]["lr"])
            with torch.no_grad():
                flow.eval()
                val = nll(v)
                flow.train()
            rec.epoch(e, val_nll=val)
            if val < best:
                best = val
                if o.fault == "best_is_alias":
                    keep = flow.state_dict()
                    rec.checkpoint if False else None
        if keep is not None:
            flow.load_state_dict(keep)
    m = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov())
    facts(score=-val, trivial=m.log_prob(v).mean(), best=float(best))


if __name__ == "__main__":
    main()
