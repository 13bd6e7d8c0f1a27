"""Nodes of a citation-like graph, most of them without labels."""
import argparse

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="gcn")
a = p.parse_args()
torch.manual_seed(12)
torch.set_num_threads(1)

N, CLASSES, WIDTH = 900, 6, 60
label = torch.arange(N) % CLASSES
same = label[:, None] == label[None]
upper = torch.triu(torch.rand(N, N) < torch.where(same, 0.03, 0.0025), diagonal=1)
adjacency = (upper | upper.T).float()
topics = (torch.rand(CLASSES, WIDTH) < 0.15).float()
words = (torch.rand(N, WIDTH) < 0.06 + 0.14 * topics[label]).float()
order = torch.randperm(N)
train, val, test = order[:120], order[120:360], order[360:]


def normalised(adj):
    adj = adj + torch.eye(len(adj))
    d = adj.sum(1).rsqrt()
    return d[:, None] * adj * d[None]


class GCN(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.one, self.two, self.dropout = nn.Linear(WIDTH, 32), nn.Linear(32, CLASSES), nn.Dropout(dropout)

    def forward(self, x, adj):
        x = F.relu(adj @ self.one(self.dropout(x)))
        return adj @ self.two(self.dropout(x))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.lift, self.left, self.right = nn.Linear(WIDTH, 32), nn.Linear(32, 1), nn.Linear(32, 1)
        self.out, self.dropout = nn.Linear(32, CLASSES), nn.Dropout(0.5)

    def forward(self, x, adj):
        h = self.lift(self.dropout(x))
        score = F.leaky_relu(self.left(h) + self.right(h).T, 0.2).masked_fill(adj == 0, float("-inf"))
        h = F.elu(F.softmax(score, 1) @ h)
        return adj @ self.out(self.dropout(h))


class Predict(nn.Module):
    """Labels from own words, then spread ten times over the graph (personalised)."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Dropout(0.5), nn.Linear(WIDTH, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, CLASSES))

    def forward(self, x, adj):
        start = z = self.net(x)
        for _ in range(10):
            z = 0.9 * adj @ z + 0.1 * start
        return z


with lvmcheck.record(a.out, config=vars(a)) as rec:
    adj = normalised(adjacency)
    model = {"attention": Attention, "spread": Predict}.get(a.habit, lambda: GCN(0.8 if a.habit == "heavy_dropout" else 0.5))()
    groups = [{"params": list(model.parameters())[:2], "weight_decay": 5e-3}, {"params": list(model.parameters())[2:], "weight_decay": 0.0}]
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    best, kept, patience = 0.0, None, 0
    for epoch in range(200):
        model.train()
        used = adj
        if a.habit == "drop_edges":
            keep = torch.triu(torch.rand(N, N) > 0.3, diagonal=1)
            used = normalised(adjacency * (keep | keep.T))
        loss = F.cross_entropy(model(words, used)[train], label[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rec.step(loss=loss)
        if a.habit == "sparse_logging" and epoch % 25 != 24:
            continue
        model.eval()
        with torch.no_grad():
            out = model(words, adj)
        accuracy = (out.argmax(1)[val] == label[val]).float().mean().item()
        rec.epoch(epoch, train_loss=loss, val_loss=F.cross_entropy(out[val], label[val]), val_accuracy=accuracy)
        if accuracy > best:
            best, patience, kept = accuracy, 0, {k: q.clone() for k, q in model.state_dict().items()}
        else:
            patience += 1
        if a.habit == "early_stop" and patience == 40:
            break
    model.load_state_dict(kept)
    model.eval()
    with torch.no_grad():
        print("test", (model(words, adj).argmax(1)[test] == label[test]).float().mean().item())
