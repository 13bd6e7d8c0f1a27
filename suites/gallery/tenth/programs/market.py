"""Recommend items to people: factors, pairs, batches of negatives, sparse tables."""
import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="bpr")
a = p.parse_args()
torch.manual_seed(10)
torch.set_num_threads(1)

USERS, ITEMS, K = 500, 240, 8
taste, nature = torch.randn(USERS, 5), torch.randn(ITEMS, 5)
fame = torch.randn(ITEMS) * 0.8
score = taste @ nature.T / 1.2 + fame
likes = torch.zeros(USERS, ITEMS, dtype=torch.bool)
likes.scatter_(1, (score + torch.distributions.Gumbel(0, 1).sample(score.shape)).topk(24, 1).indices, True)
pairs = likes.nonzero()
position = torch.rand(USERS, ITEMS).masked_fill(~likes, -1).argsort(1, descending=True)
held = position[:, :3]
known = likes.clone().scatter_(1, held, False)
train_pairs = known.nonzero()
log_share = (known.sum(0).clamp(min=1) / known.sum()).log()  # how often an item is drawn as another row's


class Factors(nn.Module):
    def __init__(self, sparse=False):
        super().__init__()
        self.user, self.item = nn.Embedding(USERS, K, sparse=sparse), nn.Embedding(ITEMS, K, sparse=sparse)
        self.bias = nn.Embedding(ITEMS, 1)
        nn.init.normal_(self.user.weight, std=0.1)
        nn.init.normal_(self.item.weight, std=0.1)
        nn.init.zeros_(self.bias.weight)

    def forward(self, u, i):
        return (self.user(u)[:, None] * self.item(i)).sum(2) + self.bias(i).squeeze(2)

    def all_pairs(self, u, i):
        return self.user(u) @ self.item(i).T + self.bias(i).T


class Shelf(nn.Module):
    """All that a person liked in, scores of all items out."""

    def __init__(self):
        super().__init__()
        self.drop, self.inner, self.outer = nn.Dropout(0.5), nn.Linear(ITEMS, 64), nn.Linear(64, ITEMS)

    def forward(self, x):
        return self.outer(torch.tanh(self.inner(self.drop(F.normalize(x, dim=1)))))


@torch.no_grad()
def ranking(scores):
    scores = scores.masked_fill(known, float("-inf"))
    top = scores.topk(10, 1).indices
    hits = (top[:, :, None] == held[:, None]).any(2).float()
    gain = (hits / torch.arange(2, 12).log2()).sum(1) / (1 / torch.arange(2, 5).log2()).sum()
    return (hits.sum(1) / 3).mean(), gain.mean()


model = Shelf() if a.habit == "shelf" else Factors(a.habit == "sparse")
if a.habit == "sparse":
    optimizers = [torch.optim.SparseAdam([model.user.weight, model.item.weight], lr=3e-3), torch.optim.Adam([model.bias.weight], lr=5e-3)]
else:
    decay = {"params": [q for n, q in model.named_parameters() if "bias" not in n], "weight_decay": 0.3}
    free = {"params": [q for n, q in model.named_parameters() if "bias" in n], "weight_decay": 0.0}
    optimizers = [torch.optim.AdamW([decay, free], lr=3e-3 if a.habit in ("shelf", "in_batch") else 5e-3)]
everyone, everything = torch.arange(USERS), torch.arange(ITEMS)
loader = DataLoader(TensorDataset(everyone if a.habit == "shelf" else train_pairs), batch_size=25 if a.habit == "shelf" else 256, shuffle=True)

with lvmcheck.record(a.out, config={"habit": a.habit, "epochs": 12}) as rec:
    for epoch in range(1, 13):
        model.train()
        total = 0.0
        for (rows,) in loader:
            if a.habit == "shelf":
                x = known[rows].float()
                loss = -(F.log_softmax(model(x), 1) * x).sum(1).mean()
            else:
                u, i = rows.T
                if a.habit == "in_batch":
                    logits = model.all_pairs(u, i) - log_share[i]
                    logits = logits.masked_fill(known[u][:, i] & ~torch.eye(len(u), dtype=torch.bool), -1e4)
                    loss = F.cross_entropy(logits, torch.arange(len(u)))
                else:
                    other = torch.randint(0, ITEMS, (len(u), 4))
                    out = model(u, torch.cat([i[:, None], other], 1))
                    if a.habit == "pointwise":
                        loss = F.softplus(-out[:, 0]).mean() + F.softplus(out[:, 1:]).mean()
                    else:
                        loss = F.softplus(out[:, 1:] - out[:, :1]).mean()
            for o in optimizers:
                o.zero_grad()
            loss.backward()
            for o in optimizers:
                o.step()
            total += loss.item() * len(rows)
            rec.step(loss=loss)
        model.eval()
        with torch.no_grad():
            scores = model(known.float()) if a.habit == "shelf" else model(everyone, everything.expand(USERS, -1))
        recall, ndcg = ranking(scores)
        if a.habit == "summed_log":
            rec.epoch(epoch, epoch_loss_sum=total, recall_at_10=recall, ndcg=ndcg)
        else:
            rec.epoch(epoch, train_loss=total / len(loader.dataset), recall_at_10=recall, ndcg=ndcg)
