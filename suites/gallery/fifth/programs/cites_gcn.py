"""Classify nodes of a citation graph, full batch: one step an epoch."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "node classification"
FAULTS = {
    "val_mask_is_train": ("the accuracy of validation is taken over train_mask", ["validation_is_training", "leaked_split"], True),
    "features_permuted": ("features are in another order than the nodes of the graph", ["label_mismatch", "overfitting", "memorisation", "not_learning", "label_noise"], False),
    "functional_dropout": ("F.dropout(h, 0.6) without training=self.training", ["dropout_in_eval"], True),
    "softmax_in_model": ("the model returns softmax, cross entropy takes logits", ["softmax_too_many"], True),
    "softmax_over_nodes": ("softmax over dim 0 before nll of its log", ["rows_mix", "softmax_too_many", "not_learning", "log_missing"], True),
    "not_normalised": ("three propagations with an adjacency that is not normalised", ["initial_outputs_too_large", "gradients_scaled_by_depth", "exploding_gradient", "learning_rate_too_high", "inputs_not_normalised"], True),
}
HABITS = {"": "full batch, one step for each epoch", "twenty_val": "20 nodes of validation"}


class GCN(nn.Module):
    def __init__(self, A, how):
        super().__init__()
        self.register_buffer("A", A)
        self.w1, self.w2, self.w3, self.how = nn.Linear(40, 24), nn.Linear(24, 24), nn.Linear(24, 5), how

    def forward(self, x):
        h = F.relu(self.w1(self.A @ x))
        h = F.dropout(h, .6 if self.how == "functional_dropout" else .3, training=self.training or self.how == "functional_dropout")
        h = F.relu(self.w2(self.A @ h))
        z = self.w3(self.A @ h)
        if self.how == "softmax_in_model":
            return z.softmax(1)
        if self.how == "softmax_over_nodes":
            return z.softmax(0)
        return z


def main():
    o = options()
    g = torch.Generator().manual_seed(7)
    torch.manual_seed(7)
    n = 600
    y = torch.randint(0, 5, (n,), generator=g)
    prob = torch.where(y[:, None] == y[None], .02, .0025)
    A = (torch.rand(n, n, generator=g) < prob).float().triu(1)
    A = A + A.T + torch.eye(n)
    x = torch.randn(5, 40, generator=g)[y] * .35 + torch.randn(n, 40, generator=g)
    if o.fault == "features_permuted":
        x = x[torch.randperm(n, generator=g)]
    d = A.sum(1)
    if o.fault != "not_normalised":
        A = A / (d[:, None] * d[None]).sqrt()
    train = torch.zeros(n, dtype=torch.bool)
    train[:200] = True
    val = torch.zeros(n, dtype=torch.bool)
    val[200:220 if o.habit == "twenty_val" else 350] = True
    test = torch.zeros(n, dtype=torch.bool)
    test[350:] = True
    net = GCN(A, o.fault)
    opt = torch.optim.Adam(net.parameters(), lr=.01, weight_decay=5e-4)

    def cost(z, m):
        if o.fault == "softmax_over_nodes":
            return F.nll_loss((z[m] + 1e-12).log(), y[m])
        return F.cross_entropy(z[m], y[m])
    with lvmcheck.record(o.out, config={"epochs": 28, "hidden": 24}) as rec:
        if o.watch:
            rec.watch(net, opt)
        for e in range(28):
            net.train()
            opt.zero_grad()
            z = net(x)
            loss = cost(z, train)
            loss.backward()
            opt.step()
            rec.step(loss=loss)
            net.eval()
            with torch.no_grad():
                z = net(x)
                hit = (z.argmax(1) == y).float()
                m = train if o.fault == "val_mask_is_train" else val
                rec.epoch(e, train_acc=hit[train].mean(), val_acc=hit[m].mean(), val_loss=cost(z, m))
    facts(score=hit[test].mean(), trivial=torch.bincount(y[test]).max() / 250, reported=hit[m].mean())


if __name__ == "__main__":
    main()
