"""Papers that cite each other: a graph convolution on a planted partition."""
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck

TASK = "graph node classification"


class GCN(nn.Module):
    def __init__(self, depth=2, p=0.5, bug=None):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(60 if i == 0 else 32, 32 if i < depth - 1 else 5) for i in range(depth)])
        self.p, self.bug = p, bug

    def forward(self, x, A):
        for i, l in enumerate(self.layers):
            x = A @ l(F.dropout(x, self.p, self.training))
            if i < len(self.layers) - 1:
                x = F.relu(x)
        return x


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(70)
    n = 900
    y = torch.randint(0, 5, (n,))
    x = (torch.rand(n, 60) < 0.05 + 0.10 * (torch.arange(60)[None] // 12 == y[:, None])).float()
    P = torch.where(y[:, None] == y[None], 0.024, 0.003)
    A = (torch.rand(n, n) < P).float().triu(1)
    A = A + A.T
    if broken == "edges_of_other_order":
        perm = torch.randperm(n)
        A = A[perm][:, perm]
    if broken == "edges_all_zero":
        A = A.long().div(2, rounding_mode="floor").float()
    A = A + torch.eye(n) * (0 if broken == "edges_all_zero" else 1)
    d = A.sum(1).clamp(min=1).rsqrt()
    if broken == "degrees_not_normalised":
        A = A * 40
    else:
        A = d[:, None] * A * d[None]
    if broken == "features_normalised_to_constant":
        xin = x * 0 + x.sum(1, keepdim=True) / x.sum(1, keepdim=True).clamp(min=1)
    else:
        xin = x / x.sum(1, keepdim=True).clamp(min=1)
    order = torch.randperm(n)
    tr, va, te = order[:100], order[100:400], order[400:]
    labels = y.clone()
    if habit == "noisy_labels":
        labels[tr[:15]] = torch.randint(0, 5, (15,))
    model = GCN(depth=24 if broken == "too_deep" else 2, bug=broken)
    opt = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4 * (4 if habit == "strong_decay" else 1))
    w0 = [p.detach().clone() for p in model.parameters()]
    epochs = 110 if broken != "stops_at_two" else 2
    best, wait, acc = 0, 0, 0.
    report_on = tr if broken == "validates_on_training_nodes" else va
    run = lvmcheck.record(rec_dir, config={"epochs": 110, "lr": 0.02, "weight_decay": 5e-4})
    if watch:
        run.watch(model, opt)
    for epoch in range(epochs):
        model.train()
        opt.zero_grad()
        out = model(xin, A)
        if broken == "all_labels_in_loss":
            loss = F.cross_entropy(out, labels)
        elif broken == "loss_on_wrong_nodes":
            loss = F.cross_entropy(out[tr], labels[:100])
        else:
            loss = F.cross_entropy(out[tr], labels[tr])
        loss.backward()
        opt.step()
        run.step(loss=loss)
        model.eval()
        with torch.no_grad():
            out = model(xin, A)
            acc = (out[report_on].argmax(1) == y[report_on]).float().mean().item()
            vl = F.cross_entropy(out[report_on], y[report_on]).item()
        if habit == "every_tenth_epoch":
            if epoch % 10 == 0:
                run.epoch(epoch, val_acc=acc, val_loss=vl)
        else:
            run.epoch(epoch, val_acc=acc, val_loss=vl)
    run.close("finished")
    score = (out[te].argmax(1) == y[te]).float().mean().item()
    return dict(score=score, trivial=0.22, good=0.6, reported=acc, labels_in_loss=n if broken == "all_labels_in_loss" else 100)


HEALTHY = {
    "base": "a hundred labelled nodes, full batches, dropout",
    "noisy_labels": "some training labels are wrong",
    "strong_decay": "strong weight decay holds the training loss up",
    "every_tenth_epoch": "validation figures in every tenth epoch",
}
BROKEN = [
    ("edges_of_other_order", "edges are in another node order than features and labels", "inputs do not belong to each other", "curves"),
    ("edges_all_zero", "integer division makes every edge zero", "inputs carry no information", "both"),
    ("degrees_not_normalised", "the adjacency is not normalised and scaled up", "activations explode", "both", "r['score']<b['score']-0.02"),
    ("features_normalised_to_constant", "a sum divided by itself makes every feature one", "inputs carry no information", "both"),
    ("too_deep", "24 layers smooth all nodes into one", "oversmoothing", "both"),
    ("stops_at_two", "a debugging limit of two epochs is left in", "training stops too early", "both"),
    ("validates_on_training_nodes", "the validation mask is the training mask", "validation on training data", "curves"),
    ("all_labels_in_loss", "the training mask is forgotten, so test labels are trained on", "validation data are trained on", "curves", "r['labels_in_loss']==900"),
    ("loss_on_wrong_nodes", "labels are indexed by position, outputs by the mask", "inputs do not belong to their targets", "both"),
]
