"""Node classification on a random block graph, full batch. History as CSV."""
import os

import torch
import torch.nn.functional as F
from torch import nn

from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(19)
N, K, FEAT = 700, 5, 40
label = torch.randint(0, K, (N,))
same = label[:, None] == label[None]
prob = torch.where(same, 0.016, 0.0022)
A = torch.triu((torch.rand(N, N) < prob).float(), 1)
A = A + A.T
topic = 0.45 * torch.randn(K, FEAT)
X = topic[label] + torch.randn(N, FEAT)
if o.fault == "label_in_features":
    X = torch.cat([X, 2.0 * F.one_hot(label, K) + 0.05 * torch.randn(N, K)], 1)
if o.fault == "features_in_other_order":
    A = A[torch.randperm(N)]
perm = torch.randperm(N)
n_train = 40 if o.habit == "few_labels" else 150
train_idx, val_idx = perm[:n_train], perm[400:]
if o.fault == "all_nodes_in_loss":
    train_idx = perm
if o.fault == "features_in_other_order":
    label_of_train = label[train_idx.sort().values]
else:
    label_of_train = label[train_idx]


def propagate():
    a = A + torch.eye(N)
    if o.fault == "adjacency_not_normalised":
        return a
    d = a.sum(1).clamp(min=1).rsqrt()
    return d[:, None] * a * d[None]


class GCN(nn.Module):
    def __init__(self, layers):
        super().__init__()
        sizes = [X.shape[1]] + [32] * (layers - 1) + [K]
        self.layers = nn.ModuleList(nn.Linear(i, k) for i, k in zip(sizes, sizes[1:]))

    def forward(self, x, a):
        for i, layer in enumerate(self.layers):
            if o.fault == "dropout_always_on":
                x = F.dropout(x, 0.5)
            else:
                x = F.dropout(x, 0.5, self.training)
            x = layer(a @ x)
            if i + 1 < len(self.layers):
                x = F.relu(x)
        return x


model = GCN(10 if o.fault == "far_too_deep" else 2)
opt = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
P, EPOCHS, rec = propagate(), 38 if o.habit == "few_labels" else 60, None
if o.watch:
    import lvmcheck
    rec = lvmcheck.record(o.out, config={"layers": len(model.layers), "classes": K, "full_batch": True})
    rec.__enter__()
    rec.watch(model, opt)
else:
    os.makedirs(o.out, exist_ok=True)
    log = open(os.path.join(o.out, "metrics.csv"), "w")
    log.write("epoch,loss,train_accuracy,val_loss,val_accuracy\n")
for epoch in range(EPOCHS):
    model.train()
    a = P
    if o.habit == "drop_edges":
        a = P * (torch.rand_like(P) > 0.4)
    z = model(X, a)
    loss = F.cross_entropy(z[train_idx], label_of_train)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if rec:
        rec.step(loss=loss)
    model.eval()
    with torch.no_grad():
        e = model(X, P)
        acc = (z[train_idx].argmax(1) == label_of_train).float().mean().item()
        vl = F.cross_entropy(e[val_idx], label[val_idx]).item()
        va = (e[val_idx].argmax(1) == label[val_idx]).float().mean().item()
    if rec:
        rec.epoch(epoch, train_accuracy=acc, val_loss=vl, val_accuracy=va)
    else:
        log.write(f"{epoch},{loss.item():.5f},{acc:.4f},{vl:.5f},{va:.4f}\n")
        log.flush()
if rec:
    rec.__exit__(None, None, None)
