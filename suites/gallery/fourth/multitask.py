"""One trunk, a class and a value; two losses."""
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from .common import moved, r2, snapshot

TASK = "multi-task"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(20, 96), nn.ELU(), nn.Linear(96, 64), nn.ELU())
        self.cls, self.reg = nn.Linear(64, 4), nn.Linear(64, 1)
        self.s = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.trunk(x)
        return self.cls(h), self.reg(h)[:, 0]


def make(n, W):
    x = torch.randn(n, 20)
    h = torch.tanh(x @ W[0])
    return x, (h @ W[1] * 3 + 0.3 * torch.randn(n, 4)).argmax(1), (h @ W[2])[:, 0] + 0.2 * torch.randn(n)


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(60)
    W = (torch.randn(20, 16) / 3, torch.randn(16, 4), torch.randn(16, 1))
    x, c, v = make(3000, W)
    tx, tc, tv = make(700, W)
    tv_std = tv.std()
    net = Net()
    if broken == "weights_in_bfloat16":
        net = net.to(torch.bfloat16)
    heads0, reg0, cls0, trunk0 = snapshot(net), snapshot(net.reg), snapshot(net.cls), snapshot(net.trunk)
    if habit == "two_optimizers" or broken == "second_optimizer_not_stepped":
        opts = [torch.optim.SGD([*net.trunk.parameters(), *net.cls.parameters()], lr=0.1, momentum=0.9), torch.optim.Adam(net.reg.parameters(), lr=3e-3)]
    elif broken == "weights_in_bfloat16":
        opts = [torch.optim.SGD(net.parameters(), lr=1e-4)]
    elif broken == "regression_head_missing":
        opts = [torch.optim.Adam([*net.trunk.parameters(), *net.cls.parameters()], lr=2e-3)]
    else:
        opts = [torch.optim.Adam([p for n, p in net.named_parameters() if n != "s" or habit == "learned_uncertainty"], lr=2e-3)]
    wr = {"weight_dominates": 1e6, "weight_zero": 0.0}.get(broken, 1.0)
    E = 10
    with lvmcheck.record(rec_dir, config={"E": E, "lr": 2e-3, "w_reg": wr}) as rec:
        if watch:
            rec.watch(net, opts if len(opts) > 1 else opts[0])
        for e in range(1, E + 1):
            if habit == "trunk_frozen_at_first":
                net.trunk.requires_grad_(e > 2)
            net.train()
            for b in torch.randperm(3000).split(60):
                xb = x[b]
                if broken == "weights_in_bfloat16":
                    xb = xb.bfloat16()
                a, r = net(xb)
                lc, lr_ = F.cross_entropy(a.float(), c[b]), F.mse_loss(r.float(), v[b])
                if habit == "learned_uncertainty":
                    loss = lc * (-net.s[0]).exp() + net.s[0] + lr_ * (-net.s[1]).exp() / 2 + net.s[1] / 2
                elif broken == "loss_overwritten":
                    loss = lc
                    loss = wr * lr_
                elif broken == "difference_in_place_of_sum":
                    loss = lc - wr * lr_.clamp(max=20)
                elif broken == "heads_swapped":
                    loss = lc + F.mse_loss(a[:, 0], v[b])
                else:
                    loss = lc + wr * lr_
                for o in opts:
                    o.zero_grad()
                if broken == "cleared_between_backwards":
                    lr_.backward(retain_graph=True)
                    opts[0].zero_grad()
                    lc.backward()
                else:
                    loss.backward()
                for k, o in enumerate(opts):
                    if broken == "second_optimizer_not_stepped" and k:
                        continue
                    o.step()
                terms = None if habit in ("learned_uncertainty", "totals_only") else {"cls": (1.0, lc), "reg": (wr, lr_)}
                rec.step(loss=loss, terms=terms)
            net.eval()
            with torch.no_grad():
                a, r = net(tx.to(net.reg.weight.dtype))
                acc, rr = (a.argmax(1) == tc).float().mean().item(), r2(r.float(), tv)
                if habit == "totals_only":
                    rec.epoch(e, val_loss=F.cross_entropy(a, tc) + F.mse_loss(r, tv))
                else:
                    rec.epoch(e, val_acc=acc, val_r2=rr, val_ce=F.cross_entropy(a.float(), tc), val_mse=F.mse_loss(r.float(), tv))
    return dict(score=(max(rr, -1) + acc) / 2, trivial=0.2, good=0.7, reported=None, reg=moved(reg0, net.reg), cls=moved(cls0, net.cls), acc=acc, r2=rr,
                trunk=moved(trunk0, net.trunk))


HEALTHY = {
    "base": "a class and a value from one trunk",
    "learned_uncertainty": "learned weights of the losses, the total falls below zero",
    "two_optimizers": "one optimizer for trunk and class, another for the value",
    "trunk_frozen_at_first": "the trunk is frozen for two epochs on purpose",
    "totals_only": "only totals are logged",
}
BROKEN = [
    ("weights_in_bfloat16", "weights are kept in bfloat16, too coarse for the small updates", "updates lost in low precision", "both"),
    ("second_optimizer_not_stepped", "one of two optimizers is never stepped", "an optimizer is never stepped", "both", "r['reg']==0"),
    ("regression_head_missing", "the value head is in no optimizer", "part of the model is missing from the optimizer", "watch", "r['reg']==0"),
    ("weight_dominates", "one loss weighs a million times too much", "a loss term has the wrong weight", "both"),
    ("weight_zero", "a weight of zero left from an ablation", "a loss term is switched off", "both"),
    ("loss_overwritten", "the second loss overwrites the first in place of being added", "a loss term is missing", "both", "r['cls']==0"),
    ("difference_in_place_of_sum", "the second loss is subtracted", "a loss term has the wrong sign", "both"),
    ("heads_swapped", "the value's loss is computed on the class head", "wrong variable used", "both", "r['reg']==0"),
    ("cleared_between_backwards", "zero_grad between two backward calls drops the first loss", "gradients cleared before the step", "both", "r['reg']==0"),
]
