"""Rank documents of a query by pairwise hinge."""
import numpy as np
import torch
from torch import nn
import lvmcheck
from common import options, facts

TASK = "pairwise ranking"
FAULTS = {
    "hinge_reversed": ("the hinge asks the worse document to score higher", ["loss_sign", "validation_differs", "label_mismatch", "diverging"], True),
    "grades_permuted": ("train documents are shuffled, their grades are not", ["label_mismatch", "label_noise", "not_learning", "overfitting", "memorisation"], True),
    "lr_hundredfold": ("learning rate 0.5 in place of 0.005", ["learning_rate_too_high", "diverging", "updates_out_of_range", "not_learning", "units_dead"], True),
    "dev_unscaled": ("train features are standardised, those of the dev set are not", ["validation_differs", "inputs_not_normalised"], True),
    "no_zero_grad": ("optimizer.zero_grad() is missing", ["gradients_not_cleared"], True),
}
HABITS = {"": "pairwise hinge, NDCG of a dev set", "one_epoch": "one pass over the queries, dev figures every 20 steps, no epochs"}


def make(n, rng):
    x = rng.normal(size=(n, 12, 10)) * np.array([1, 3, .2, 10, 1, 5, 1, 2, 1, 1]) + np.array([0, 8, 1, -20, 0, 3, 0, 0, 2, 0])
    z = (x - [0, 8, 1, -20, 0, 3, 0, 0, 2, 0]) / [1, 3, .2, 10, 1, 5, 1, 2, 1, 1]
    u = z[..., 0] + z[..., 3] * z[..., 1] * .7 + np.abs(z[..., 5]) - z[..., 7] + rng.normal(size=(n, 12)) * .4
    grade = np.digitize(u, [0, 1.2, 2.4])
    return x.astype("f"), grade


def ndcg(s, g):
    order = s.argsort(1, descending=True)
    disc = 1 / torch.log2(torch.arange(s.shape[1]) + 2.0)
    gain = lambda idx: ((2.0 ** g.gather(1, idx) - 1) * disc).sum(1)
    return (gain(order) / gain(g.argsort(1, descending=True)).clamp(min=1e-6)).mean()


def main():
    o = options()
    rng = np.random.default_rng(3)
    torch.manual_seed(3)
    x, g = make(600, rng)
    dx, dg = make(200, rng)
    mu, sd = x.mean((0, 1)), x.std((0, 1))
    x = (x - mu) / sd
    if o.fault != "dev_unscaled":
        dx = (dx - mu) / sd
    if o.fault == "grades_permuted":
        x = rng.permutation(x.reshape(-1, 10)).reshape(x.shape)
    x, g, dx, dg = map(torch.from_numpy, (x, g, dx, dg))
    scorer = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    lr = .5 if o.fault == "lr_hundredfold" else .005
    opt = torch.optim.Adam(scorer.parameters(), lr=lr)
    train = torch.utils.data.TensorDataset(x, g)
    loader = torch.utils.data.DataLoader(train, batch_size=20, shuffle=True)

    def hinge(s, g):
        better = g[:, :, None] > g[:, None, :]
        diff = s[:, :, None] - s[:, None, :]
        return (1 - diff).clamp(min=0)[better].mean()

    def dev():
        scorer.eval()
        with torch.no_grad():
            s = scorer(dx)[..., 0]
            r = dict(dev_hinge=hinge(s, dg), dev_ndcg=ndcg(s, dg))
        scorer.train()
        return r
    epochs = 1 if o.habit == "one_epoch" else 9
    with lvmcheck.record(o.out, config={"lr": lr, "queries_per_batch": 20, "epochs": epochs}) as rec:
        if o.watch:
            rec.watch(scorer, opt, train=loader, val=torch.utils.data.TensorDataset(dx, dg))
        n = 0
        for e in range(epochs):
            for xb, gb in loader if epochs > 1 else [b for _ in range(6) for b in loader]:
                s = scorer(xb)[..., 0]
                loss = hinge(-s, gb) if o.fault == "hinge_reversed" else hinge(s, gb)
                if o.fault != "no_zero_grad":
                    opt.zero_grad()
                loss.backward()
                opt.step()
                n += 1
                rec.step(loss=loss.item())
                if o.habit == "one_epoch" and n % 20 == 0:
                    rec.log(dev(), step=n)
            if o.habit != "one_epoch":
                rec.epoch(e, **dev())
    r = dev()
    facts(score=r["dev_ndcg"], trivial=ndcg(torch.rand(200, 12), dg), hinge=r["dev_hinge"])


if __name__ == "__main__":
    main()
