"""One trunk, two heads: kind of flat and its price."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "multi-task"
FAULTS = {
    "price_in_cents": ("squared error of prices in cents beside a cross entropy", ["dominant_term", "wrong_scale", "not_learning"], True),
    "second_is_number": (".item() on the second loss before it is added", ["loss_term_detached", "graph_cut"], True),
    "second_head_left_out": ("the optimizer was made before the second head was added", ["parameters_not_optimized", "optimizer_of_former_model"], True),
    "never_added": ("loss = kind_loss, the price term is only logged", ["loss_term_detached", "graph_cut", "other_term_weight", "hidden_term", "not_learning"], True),
    "kinds_shifted": ("kinds are counted from 1 in training and from 0 in validation", ["label_mismatch", "validation_differs"], False),
}
HABITS = {"": "two terms of like size", "uncertainty": "learned log-variances: the loss falls below 0", "huge_scale": "summed losses in the hundreds"}


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(14, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU())
        self.kind, self.price = nn.Linear(48, 6), nn.Linear(48, 1)
        self.s = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.trunk(x)
        return self.kind(h), self.price(h).squeeze(1)


def main():
    o = options()
    torch.manual_seed(61)
    x = torch.randn(2400, 14)
    kind = (x[:, :5] @ torch.randn(5, 5)).argmax(1)
    price = 2 * x[:, 6] + x[:, 7] * x[:, 8] + (kind == 2) * 1.5 + .3 * torch.randn(2400)
    price = (price - price.mean()) / price.std()
    if o.fault == "price_in_cents":
        price = 20_000_00 + price * 5_000_00
    T, V = slice(0, 1800), slice(1800, None)
    net = Flat()
    params = [p for n, p in net.named_parameters() if not n.startswith("price")] if o.fault == "second_head_left_out" else net.parameters()
    opt = torch.optim.Adam(params, lr=3e-3)
    red = "sum" if o.habit == "huge_scale" else "mean"
    with lvmcheck.record(o.out, config={"terms": ["kind", "price"]}) as rec:
        if o.watch:
            rec.watch(net, opt, train=torch.utils.data.TensorDataset(x[T], kind[T]), val=torch.utils.data.TensorDataset(x[V], kind[V]))
        for e in range(1, 10):
            for r in torch.randperm(1800).split(60):
                k, p = net(x[r])
                lk = F.cross_entropy(k, (kind[r] + 1 if o.fault == "kinds_shifted" else kind[r]), reduction=red)
                lp = F.mse_loss(p, price[r], reduction=red)
                if o.fault == "second_is_number":
                    loss = lk + lp.item()
                elif o.fault == "never_added":
                    loss = lk
                elif o.habit == "uncertainty":
                    loss = ((-net.s).exp() * torch.stack([lk, .5 * lp]) + .5 * net.s).sum()
                else:
                    loss = lk + lp
                opt.zero_grad()
                loss.backward()
                opt.step()
                if o.habit == "uncertainty":
                    rec.step(loss=loss, kind_loss=lk, price_loss=lp)
                else:
                    rec.step(loss=loss, terms={"kind": (1., lk), "price": (1., lp)})
            net.eval()
            with torch.no_grad():
                k, p = net(x[V])
                acc, rm = (k.argmax(1) == kind[V]).float().mean(), F.mse_loss(p, price[V]).sqrt()
            net.train()
            rec.epoch(e, val_kind_acc=acc, val_price_rmse=rm)
    facts(score=acc, trivial=torch.bincount(kind[V]).max() / 600, rmse=rm, trivial_rmse=price[V].std())


if __name__ == "__main__":
    main()
