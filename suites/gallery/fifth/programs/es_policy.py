"""Evolution strategy for a balancing pole: rewards only, gradients written by hand."""
import torch
from torch import nn
import lvmcheck
from common import options, facts

TASK = "evolution strategy"
FAULTS = {
    "ascends_wrongly": ("the estimate is not negated before a minimising optimizer", ["loss_sign", "diverging", "not_learning"], False),
    "noise_redrawn": ("the update multiplies the returns with newly drawn noise", ["not_learning", "label_mismatch"], False),
    "ranks_of_self": ("returns minus themselves: the baseline is the return of the same member", ["not_learning", "weights_never_move", "loss_constant"], True),
}
HABITS = {"": "mean return of the population, no loss falls"}


def fall(P, seed):
    """Steps for which a pole stays up, for many controllers at once."""
    g = torch.Generator().manual_seed(seed)
    n = len(P)
    s = (torch.rand(n, 4, generator=g) - .5) * .2
    up, lived = torch.ones(n, dtype=torch.bool), torch.zeros(n)
    for _ in range(150):
        f = 10 * torch.tanh((P[:, :4] * s).sum(1) * 3 + P[:, 4])
        th, w = s[:, 2], s[:, 3]
        tmp = (f + .05 * w ** 2 * th.sin()) / 1.1
        al = (9.8 * th.sin() - th.cos() * tmp) / (.5 * (4 / 3 - .1 * th.cos() ** 2 / 1.1))
        ac = tmp - .05 * al * th.cos() / 1.1
        s = s + .02 * torch.stack([s[:, 1], ac, w, al], 1)
        up = up & (s[:, 0].abs() < 2.4) & (s[:, 2].abs() < .21)
        lived += up
    return lived


def main():
    o = options()
    torch.manual_seed(40)
    net = nn.Linear(4, 1)
    nn.init.zeros_(net.weight), nn.init.zeros_(net.bias)
    opt = torch.optim.Adam(net.parameters(), lr=.05)
    with lvmcheck.record(o.out, config={"population": 40, "sigma": .1}) as rec:
        if o.watch:
            rec.watch(net, opt)
        for gen in range(60):
            flat = torch.cat([net.weight.data.flatten(), net.bias.data])
            eps = torch.randn(20, 5)
            eps = torch.cat([eps, -eps])
            R = fall(flat + .1 * eps, gen)
            adv = R - R if o.fault == "ranks_of_self" else (R - R.mean()) / (R.std() + 1e-6)
            if o.fault == "noise_redrawn":
                eps = torch.randn(40, 5)
            est = (adv[:, None] * eps).mean(0) / .1
            if o.fault != "ascends_wrongly":
                est = -est
            net.weight.grad, net.bias.grad = est[:4][None].clone(), est[4:].clone()
            opt.step()
            rec.step(loss=-R.mean().item(), best_return=R.max().item())
            if gen % 5 == 4:
                rec.epoch(gen // 5, mean_return=R.mean().item(), eval_return=fall((flat)[None].repeat(20, 1), 999).mean().item())
    flat = torch.cat([net.weight.data.flatten(), net.bias.data])
    facts(score=fall(flat[None].repeat(60, 1), 5).mean(), trivial=fall(torch.zeros(60, 5), 5).mean())


if __name__ == "__main__":
    main()
