"""Energy model by contrastive divergence: its loss hovers around 0."""
import torch
from torch import nn
import lvmcheck
from common import options, facts

TASK = "energy-based model"
FAULTS = {
    "energies_swapped": ("energy of samples minus energy of data", ["loss_sign", "diverging", "not_learning"], False),
    "sampler_fills_grad": ("the sampler calls backward() after zero_grad(), its gradients stay in the weights", ["gradients_not_cleared"], True),
    "lr_hundredfold": ("learning rate 0.2, no penalty holds the energies", ["learning_rate_too_high", "diverging", "updates_out_of_range", "exploding_gradient", "gradients_leap", "not_learning"], True),
    "chains_never_move": ("samples are clones of the data that were never moved: steps=0", ["loss_constant", "not_learning", "loss_not_computed", "metric_constant", "weights_never_move"], True),
}
HABITS = {"": "contrastive divergence with a small penalty"}


def main():
    o = options()
    torch.manual_seed(90)
    c = torch.tensor([[1.5, 1.5], [-1.5, -1.5], [1.5, -1.5]])
    data = lambda n: c[torch.randint(0, 3, (n,))] + .2 * torch.randn(n, 2)
    x, v = data(2000), data(400)
    net = nn.Sequential(nn.Linear(2, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1))
    opt = torch.optim.Adam(net.parameters(), lr=.2 if o.fault == "lr_hundredfold" else 2e-3)
    pen = 0. if o.fault == "lr_hundredfold" else .02
    bank = torch.rand(1000, 2) * 6 - 3

    def walk(s, n):
        s = s.detach().clone().requires_grad_(True)
        for _ in range(n):
            e = net(s).sum()
            if o.fault == "sampler_fills_grad":
                s.grad = None
                e.backward()
                g = s.grad
            else:
                g, = torch.autograd.grad(e, s)
            s = (s - .15 * g.clamp(-2, 2) + .12 * torch.randn_like(s)).detach().clamp(-3, 3).requires_grad_(True)
        return s.detach()
    auc = lambda: (net(v)[:, None, 0] < net(torch.rand(400, 2, generator=torch.Generator().manual_seed(1)) * 6 - 3)[None, :, 0]).float().mean()
    with lvmcheck.record(o.out, config={"langevin": 12}) as rec:
        if o.watch:
            rec.watch(net, opt)
        for e in range(8):
            for r in torch.randperm(2000).split(100):
                opt.zero_grad()
                k = torch.randint(0, 1000, (100,))
                s = x[r] if o.fault == "chains_never_move" else walk(torch.where(torch.rand(100, 1) < .05, torch.rand(100, 2) * 6 - 3, bank[k]), 12)
                bank[k] = s
                ed, es = net(x[r]), net(s)
                cd = es.mean() - ed.mean() if o.fault == "energies_swapped" else ed.mean() - es.mean()
                loss = cd + pen * (ed.square() + es.square()).mean()
                loss.backward()
                opt.step()
                rec.step(loss=loss, energy_data=ed.mean(), energy_samples=es.mean())
            with torch.no_grad():
                net.eval()
                rec.epoch(e, val_auc_against_uniform=auc())
                net.train()
    facts(score=auc(), trivial=.5)


if __name__ == "__main__":
    main()
