"""Four experts, a router and a balance term."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "mixture of experts"
FAULTS = {
    "router_cut": ("the chosen expert's answer is not multiplied by its gate", ["graph_cut"], True),
    "experts_in_list": ("experts are kept in a plain list", ["parameters_not_optimized"], True),
    "gates_over_batch": ("softmax of the gates over dim 0", ["rows_mix"], True),
    "balance_weight_300": ("weight 300 of the balance term", ["dominant_term", "not_learning"], True),
    "accumulates_unscaled": ("eight micro-batches are added up, the loss is not divided, SGD", ["wrong_scale", "learning_rate_too_high", "gradients_not_cleared", "diverging", "updates_out_of_range", "exploding_gradient", "numeric_range", "gradients_leap", "not_learning", "module_makes_nan"], True),
}
HABITS = {"": "soft top-1 routing", "accumulated": "eight micro-batches, the loss is divided by eight"}


class MoE(nn.Module):
    def __init__(self, how):
        super().__init__()
        ex = [nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 1)) for _ in range(4)]
        self.experts = ex if how == "experts_in_list" else nn.ModuleList(ex)
        self.router, self.how = nn.Linear(12, 4), how

    def forward(self, x):
        g = self.router(x).softmax(0 if self.how == "gates_over_batch" else 1)
        top = g.argmax(1)
        out = torch.stack([e(x)[:, 0] for e in self.experts], 1)
        pick = out.gather(1, top[:, None])[:, 0]
        gate = g.gather(1, top[:, None])[:, 0]
        y = pick if self.how == "router_cut" else pick * gate * (len(x) if self.how == "gates_over_batch" else 1)
        share = F.one_hot(top, 4).float().mean(0)
        return y, 4 * (share * g.mean(0)).sum()


def main():
    o = options()
    torch.manual_seed(81)
    x = torch.randn(2400, 12)
    sec = (x[:, 0] > 0).long() * 2 + (x[:, 1] > 0)
    W = torch.randn(4, 12)
    y = (x * W[sec]).sum(1) + .2 * torch.randn(2400)
    net = MoE(o.fault)
    k = 8 if o.habit == "accumulated" or o.fault == "accumulates_unscaled" else 1
    opt = torch.optim.SGD(net.parameters(), lr=.05, momentum=.9) if k == 8 else torch.optim.Adam(net.parameters(), lr=6e-3)
    w = {"balance_sign": -1., "balance_weight_300": 300.}.get(o.fault, .02)
    with lvmcheck.record(o.out, config={"experts": 4, "balance": abs(w)}) as rec:
        if o.watch:
            rec.watch(net, opt, train=torch.utils.data.TensorDataset(x[:2000], y[:2000]), val=torch.utils.data.TensorDataset(x[2000:], y[2000:]))
        for e in range(12):
            tot = 0
            rows = torch.randperm(2000).split(50 if k == 1 else 10)
            for i, r in enumerate(rows):
                p, b = net(x[r])
                mse = F.mse_loss(p, y[r])
                loss = mse + w * b
                (loss / k if o.habit == "accumulated" else loss).backward()
                tot += mse.item()
                if (i + 1) % k == 0:
                    opt.step()
                    opt.zero_grad()
                    rec.step(loss=loss.item(), balance=b.item())
            net.eval()
            with torch.no_grad():
                p, b = net(x[2000:])
                vm = F.mse_loss(p, y[2000:])
            net.train()
            rec.epoch(e, mse=tot / len(rows), val_mse=vm)
    facts(score=-vm, trivial=-y[2000:].var())


if __name__ == "__main__":
    main()
