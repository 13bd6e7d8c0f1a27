"""Click-through rate of hashed categories, 2 % positives."""
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts, auc

TASK = "click-through rate"
FAULTS = {
    "embeddings_in_list": ("embeddings are kept in a plain list, so model.parameters() lacks them", ["parameters_not_optimized"], True),
    "unsqueezed_clicks": ("probabilities [N, 1] against clicks [N] in a hand-written log loss", ["targets_broadcast", "outputs_collapsed", "not_learning", "collapsed_representation", "class_imbalance"], True),
    "decay_ten": ("weight_decay=10 in AdamW", ["weight_decay_destroys", "outputs_collapsed", "not_learning", "collapsed_representation"], True),
    "lr_thousandth": ("learning rate 1e-6", ["learning_rate_too_low", "updates_out_of_range", "not_learning"], True),
    "auc_of_itself": ("AUC of the predictions against their own ranks", ["metric_constant"], False),
    "only_negatives": ("the down-sampling of negatives keeps only negatives", ["constant_targets", "class_imbalance", "validation_differs", "outputs_collapsed"], True),
    "sigmoid_in_model": ("the model ends in a sigmoid and the loss takes logits", ["softmax_too_many", "not_learning"], True),
}
HABITS = {"": "log loss of rare clicks", "pos_weight": "positives weighted by 30", "one_pass_percent": "a single pass, AUC in percent"}
SIZES = [50, 200, 12, 7, 24]


class Net(nn.Module):
    def __init__(self, plain, sig):
        super().__init__()
        tables = [nn.Embedding(s, 6) for s in SIZES]
        for t in tables:
            nn.init.normal_(t.weight, std=.1)
        self.tables = tables if plain else nn.ModuleList(tables)
        self.deep = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 1))
        self.sig = sig
        if not sig:
            nn.init.constant_(self.deep[-1].bias, -3.5)

    def forward(self, c):
        z = self.deep(torch.cat([t(c[:, i]) for i, t in enumerate(self.tables)], 1))
        return torch.sigmoid(z) if self.sig else z


def main():
    o = options()
    rng = np.random.default_rng(11)
    torch.manual_seed(11)
    n = 16000
    c = np.stack([rng.integers(0, s, n) for s in SIZES], 1)
    w = [rng.normal(size=s) * k for s, k in zip(SIZES, (.9, .9, .5, .5, .4))]
    inter = rng.normal(size=(12, 7))
    logit = sum(w[i][c[:, i]] for i in range(5)) + inter[c[:, 2], c[:, 3]] - 5.1
    y = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype("f")
    c, y = torch.from_numpy(c), torch.from_numpy(y)
    tc, ty, vc, vy = c[:12800], y[:12800], c[12800:], y[12800:]
    if o.fault == "only_negatives":
        keep = ty == 0
        tc, ty = tc[keep], ty[keep]
    net = Net(o.fault == "embeddings_in_list", o.fault == "sigmoid_in_model")
    lr = 1e-6 if o.fault == "lr_thousandth" else 2e-3 if o.habit == "pos_weight" else 5e-3
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=10. if o.fault == "decay_ten" else 1e-3)
    pw = torch.tensor(30.) if o.habit == "pos_weight" else None

    def logloss(out, y):
        if o.fault == "unsqueezed_clicks":
            p = torch.sigmoid(out).clamp(1e-6, 1 - 1e-6)
            return -(y * p.log() + (1 - y) * (1 - p).log()).mean()
        return F.binary_cross_entropy_with_logits(out.squeeze(1), y, pos_weight=pw)
    epochs = 1 if o.habit == "one_pass_percent" else 4
    with lvmcheck.record(o.out, config={"lr": lr, "batch": 128}) as rec:
        if o.watch:
            rec.watch(net, opt, train=torch.utils.data.TensorDataset(tc, ty), val=torch.utils.data.TensorDataset(vc, vy))
        for epoch in range(1, epochs + 1):
            for i, rows in enumerate(torch.randperm(len(tc)).split(128)):
                loss = logloss(net(tc[rows]), ty[rows])
                opt.zero_grad()
                loss.backward()
                opt.step()
                rec.step(loss=loss, lr=opt.param_groups[0]["lr"])
                if epochs == 1 and i % 25 == 24:
                    with torch.no_grad():
                        rec.log({"valid_auc": 100 * auc(net(vc)[:, 0], vy)})
            with torch.no_grad():
                net.eval()
                z = net(vc)
                net.train()
            a = auc(z[:, 0], (z[:, 0] > z.median()).float() if o.fault == "auc_of_itself" else vy)
            rec.epoch(epoch, valid_logloss=logloss(z, vy), valid_auc=a * (100 if epochs == 1 else 1))
    facts(score=auc(net(vc)[:, 0].detach(), vy), trivial=.5, rate=ty.mean(), ll=F.binary_cross_entropy_with_logits(z[:, 0], vy))


if __name__ == "__main__":
    main()
