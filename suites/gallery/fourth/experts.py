"""A mixture of experts and a quantised layer for a piecewise function."""
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck
from .common import moved, r2, snapshot

TASK = "mixture of experts"


class MoE(nn.Module):
    def __init__(self, bug=None, k=2):
        super().__init__()
        experts = [nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 1)) for _ in range(8)]
        if bug == "experts_in_a_plain_list":
            self.experts = experts
        else:
            self.experts = nn.ModuleList(experts)
        self.router = nn.Linear(10, 8)
        self.bias = nn.Parameter(torch.zeros(1))
        self.bug, self.k = bug, k

    def forward(self, x):
        logits = self.router(x.detach() if self.bug != "router_detached" else x)
        probs = logits.softmax(0 if self.bug == "routing_over_batch" else -1)
        top, idx = probs.topk(self.k, -1)
        if self.bug == "router_detached":
            top = top.detach()
        elif self.bug == "same_expert_always":
            idx = torch.zeros_like(idx)
        gate = top / top.sum(-1, keepdim=True)
        every = torch.stack([e(x)[:, 0] for e in self.experts], 1)
        if self.bug == "gates_multiply_indices":
            y = (gate * idx.float()).sum(1) + 0 * every.sum(1)
        else:
            y = (gate * every.gather(1, idx)).sum(1)
        share = F.one_hot(idx, 8).float().mean((0, 1))
        aux = 8 * (share * probs.mean(0)).sum()
        return y + self.bias, aux, share


def target(x):
    reg = (x[:, :3] > 0).float() @ torch.tensor([1., 2., 4.])
    w = torch.sin(torch.arange(80).view(8, 10) * 1.7)
    return (x * w[reg.long()]).sum(1)


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(110)
    x, v = torch.randn(4000, 10), torch.randn(800, 10)
    y = target(x) + 0.1 * torch.randn(4000)
    vy = target(v)
    moe = MoE(broken, k=1 if broken == "one_expert_per_row" else 2)
    r0 = snapshot(moe.router)
    e0 = snapshot(moe.experts[3])
    aw = {"balance_weight_huge": 1000.0, "balance_sign": -1.0}.get(broken, 0.01)
    if habit == "strong_balance":
        aw = 0.1
    opt = torch.optim.AdamW(moe.parameters(), lr=4e-3, weight_decay=0.01)
    if broken == "stepped_twice_with_wrong_rate":
        opt = torch.optim.SGD(moe.parameters(), lr=0.02, momentum=0.9)
    E = 14
    with lvmcheck.record(rec_dir, config={"epochs": E, "lr": 4e-3, "balance": aw, "experts": 8}) as rec:
        if watch:
            rec.watch(moe, opt)
        for ep in range(1, E + 1):
            moe.train()
            for i in torch.randperm(4000).split(80):
                p, aux, share = moe(x[i])
                mse = F.mse_loss(p, y[i])
                loss = mse + aw * aux
                if broken != "stepped_twice_with_wrong_rate":
                    opt.zero_grad()
                loss.backward()
                if habit == "clip_always_active":
                    nn.utils.clip_grad_norm_(moe.parameters(), 0.2)
                opt.step()
                if broken == "stepped_twice_with_wrong_rate":
                    opt.step()
                    if int(i[0]) % 3 == 0:
                        opt.zero_grad()
                if broken == "weights_clamped":
                    with torch.no_grad():
                        for q in moe.parameters():
                            q.clamp_(-0.01, 0.01)
                rec.step(loss=loss, mse=mse, aux=aux)
            moe.eval()
            with torch.no_grad():
                p, aux, share = moe(v)
                m, rr = F.mse_loss(p, vy).item(), r2(p, vy)
            if habit == "loads_logged":
                rec.epoch(ep, val_mse=m, **{f"load_{k}": share[k] for k in range(8)})
            else:
                rec.epoch(ep, val_mse=m, max_load=share.max())
    A = torch.cat([x, torch.ones(4000, 1)], 1)
    lin = torch.linalg.lstsq(A, y[:, None]).solution
    return dict(score=max(rr, -5), trivial=r2(torch.cat([v, torch.ones(800, 1)], 1) @ lin, vy), good=0.5, reported=rr, router=moved(r0, moe.router), expert=moved(e0, moe.experts[3]),
                load=share.max().item())


HEALTHY = {
    "base": "two of eight experts a row, a small balance term",
    "strong_balance": "a stronger balance term that hardly falls",
    "clip_always_active": "clipping is active in every step",
    "loads_logged": "the load of each expert is logged",
}
BROKEN = [
    ("one_expert_per_row", "with one expert a row its gate is divided by itself, so the router learns nothing from the loss", "a factor is divided by itself and has no gradient", "both"),
    ("experts_in_a_plain_list", "experts are in a Python list, so the model does not own them", "part of the model is not registered", "both", "r['expert']==0"),
    ("routing_over_batch", "routing is normalised over the batch", "softmax over the wrong axis", "curves"),
    ("router_detached", "the gates are detached, the router learns from the balance term only", "part of the graph is detached", "curves"),
    ("same_expert_always", "an index reset sends every row to expert 0", "wrong index", "both"),
    ("gates_multiply_indices", "gates are multiplied with the experts' numbers, not their outputs", "wrong variable used", "curves", "r['expert']==0"),
    ("balance_weight_huge", "the balance term weighs 1000", "a loss term has the wrong weight", "both"),
    ("balance_sign", "the balance term is rewarded", "a loss term has the wrong sign", "curves", "r['load']>b['load']+0.2"),
    ("weights_clamped", "weights are clamped to a hundredth as for an old Wasserstein critic", "weights clamped", "both"),
    ("stepped_twice_with_wrong_rate", "step is called twice a batch and gradients are cleared at times only", "the optimizer steps twice", "watch"),
]
