"""Discrete-time survival: hazards of eight intervals, censored rows masked."""
import copy
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "discrete-time survival"
FAULTS = {
    "mask_inverted": ("the loss is taken where nobody is at risk any more", ["labels_masked_wrongly", "constant_targets", "validation_differs", "outputs_collapsed"], True),
    "mask_ignored": ("intervals after event or censoring count as survived", ["labels_masked_wrongly", "padding_counted"], False),
    "sigmoid_twice": ("hazards go through sigmoid and then into the loss of logits", ["softmax_too_many"], True),
    "head_left_out": ("the optimizer is given trunk.parameters() only", ["parameters_not_optimized"], True),
    "bn_in_train_mode": ("no eval() before validation: batch norm over sorted batches of 8", ["eval_missing", "rows_mix", "validation_differs"], True),
    "trunk_detached": ("features.detach() before the head", ["graph_cut"], True),
}
HABITS = {"": "masked hazards", "ema": "an average of the weights is evaluated", "accumulated": "four small batches for each step"}


class Hazard(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(9, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.head = nn.Linear(32, 8)
        self.how = ""

    def forward(self, x):
        h = self.trunk(x)
        if self.how == "trunk_detached":
            h = h.detach()
        z = self.head(h)
        return z.sigmoid() if self.how == "sigmoid_twice" else z


def cindex(risk, t, event):
    a = (t[:, None] < t[None]) & (event[:, None] > 0)
    return ((risk[:, None] > risk[None])[a].float().mean() + .5 * (risk[:, None] == risk[None])[a].float().mean()).item()


def main():
    o = options()
    rng = np.random.default_rng(31)
    torch.manual_seed(31)
    x = rng.normal(size=(2600, 9)).astype("f")
    lin = np.abs(x[:, 0]) * 1.1 - x[:, 1] + .8 * x[:, 2] * x[:, 3] - 2.4
    t, ev = np.full(len(x), 8), np.zeros(len(x))
    for k in range(8):
        hit = (rng.random(len(x)) < 1 / (1 + np.exp(-lin))) & (t == 8)
        t[hit], ev[hit] = k, 1
    c = rng.integers(2, 12, len(x))
    cens = c < t
    t[cens], ev[cens] = c[cens], 0
    x, t, ev = torch.from_numpy(x), torch.from_numpy(t), torch.from_numpy(ev).float()
    k = torch.arange(8)
    atrisk = (k[None] < t[:, None]) | ((k[None] == t[:, None]) & (ev[:, None] > 0))
    y = ((k[None] == t[:, None]) & (ev[:, None] > 0)).float()
    tr, va = slice(0, 2000), slice(2000, None)
    net = Hazard()
    net.how = o.fault
    opt = torch.optim.RMSprop(net.trunk.parameters() if o.fault == "head_left_out" else net.parameters(), lr=1e-3)

    def nll(z, y, m):
        raw = F.binary_cross_entropy_with_logits(z, y, reduction="none")
        if o.fault == "mask_ignored":
            return raw.mean()
        m = ~m if o.fault == "mask_inverted" and torch.is_grad_enabled() else m
        return (raw * m).sum() / m.sum().clamp(min=1)
    ema = copy.deepcopy(net) if o.habit == "ema" else None
    with lvmcheck.record(o.out, config={"intervals": 8, "lr": 1e-3, "epochs": 10}) as rec:
        if o.watch:
            rec.watch(net, opt, train=torch.utils.data.TensorDataset(x[tr], y[tr]), val=torch.utils.data.TensorDataset(x[va], y[va]))
        for e in range(1, 11):
            net.train()
            tot, every = 0., 4 if o.habit == "accumulated" else 1
            chunks = torch.randperm(2000).split(50 // every + 1 if every > 1 else 50)
            for i, r in enumerate(chunks):
                loss = nll(net(x[r]), y[r], atrisk[r])
                (loss / every).backward()
                tot += loss.item()
                if (i + 1) % every == 0:
                    opt.step()
                    opt.zero_grad()
                    rec.step(loss=loss)
                    if ema is not None:
                        for a, b in zip(ema.state_dict().values(), net.state_dict().values()):
                            a.copy_(a * .98 + b * .02 if a.is_floating_point() else b)
            judged = ema or net
            order = torch.arange(600)
            if o.fault == "bn_in_train_mode":
                order = x[va][:, 0].argsort()
            else:
                judged.eval()
            with torch.no_grad():
                z = torch.cat([judged(x[va][b]) for b in order.split(8)])[order.argsort()]
                vl, ci = nll(z, y[va], atrisk[va]), cindex(z.sigmoid().sum(1), t[va], ev[va])
            rec.epoch(e, loss_train=tot / len(chunks), loss_val=vl, c_index_val=ci)
    p = (y[tr] * atrisk[tr]).sum() / atrisk[tr].sum()
    net.eval()
    with torch.no_grad():
        z = (ema or net)(x[va])
        hon = (F.binary_cross_entropy_with_logits(z, y[va], reduction="none") * atrisk[va]).sum() / atrisk[va].sum()
        base = (F.binary_cross_entropy(p.expand_as(z), y[va], reduction="none") * atrisk[va]).sum() / atrisk[va].sum()
    facts(score=-hon, trivial=-base, cindex=ci)


if __name__ == "__main__":
    main()
