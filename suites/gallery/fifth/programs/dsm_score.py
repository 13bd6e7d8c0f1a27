"""Denoising score matching of a Gaussian mixture; the loss has a high floor."""
import copy
import torch
from torch import nn
import lvmcheck
from common import options, facts

TASK = "denoising score matching"
FAULTS = {
    "score_sign": ("the target is +noise / sigma: samples run away from the data", ["loss_sign", "diverging", "validation_differs", "not_learning"], False),
    "noise_drawn_once": ("noise and levels are drawn once, before the loop", ["augmentation_frozen", "overfitting", "memorisation", "rows_never_shuffled"], True),
    "unweighted": ("the error is divided by sigma twice: the lowest levels have all of the gradient", ["gradients_leap", "wrong_scale", "dominant_term", "exploding_gradient"], True),
    "ema_never_moves": ("the averaged model that is evaluated is never updated", ["copy_never_updated", "metric_constant", "validation_differs"], True),
}
HABITS = {"": "weighted score matching, distance of samples", "ema_evaluated": "an average of the weights is evaluated"}


def data(n):
    c = torch.tensor([[2., 0], [-1, 1.7], [-1, -1.7]])
    return c[torch.randint(0, 3, (n,))] + .25 * torch.randn(n, 2)


class Score(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x, level):
        return self.net(torch.cat([x, level], 1))


def main():
    o = options()
    torch.manual_seed(15)
    x, v = data(1500), data(500)
    net = Score()
    shown = copy.deepcopy(net).requires_grad_(False) if o.habit == "ema_evaluated" or o.fault == "ema_never_moves" else net
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    frozen = (torch.randn(1500, 2), torch.rand(1500, 1))

    def loss_of(m, b, rows=None):
        if o.fault == "noise_drawn_once" and rows is not None:
            eps, u = frozen[0][rows], frozen[1][rows]
        else:
            eps, u = torch.randn_like(b), torch.rand(len(b), 1)
        sig = .05 * 40 ** u
        lev = torch.zeros_like(sig) if o.fault == "level_forgotten" else sig.log()
        out = m(b + sig * eps, lev)
        err = out - eps if o.fault == "score_sign" else out + eps
        if o.fault == "unweighted":
            err = err / sig ** 2
        return err.square().sum(1).mean()

    @torch.no_grad()
    def sample_distance(m):
        g = torch.Generator().manual_seed(0)
        s = torch.randn(300, 2, generator=g) * 2
        for k in range(20, -1, -1):
            sig = torch.full((300, 1), .05 * 40 ** (k / 20))
            lev = torch.zeros_like(sig) if o.fault == "level_forgotten" else sig.log()
            for _ in range(2):
                s = s + .15 * sig * m(s, lev) + (.3 ** .5) * .5 * sig * torch.randn(300, 2, generator=g)
        return torch.cdist(s, v).min(1).values.clamp(max=50).mean()
    with lvmcheck.record(o.out, config={"sigma": [.05, 2.]}) as rec:
        if o.watch:
            rec.watch(net, opt, train=torch.utils.data.TensorDataset(x), val=torch.utils.data.TensorDataset(v))
        for e in range(1, 13):
            for r in torch.randperm(1500).split(100):
                loss = loss_of(net, x[r], r)
                opt.zero_grad()
                loss.backward()
                opt.step()
                if shown is not net and o.fault != "ema_never_moves":
                    for a, b in zip(shown.parameters(), net.parameters()):
                        a.lerp_(b.detach(), .03)
                rec.step(loss=loss)
            net.eval()
            with torch.no_grad():
                vl = torch.stack([loss_of(shown, v) for _ in range(4)]).mean()
            d = sample_distance(shown)
            net.train()
            rec.epoch(e, val_dsm=vl, sample_distance=d)
    facts(score=-d, trivial=-torch.cdist(torch.randn(300, 2) * 2, v).min(1).values.mean(), vl=vl)


if __name__ == "__main__":
    main()
