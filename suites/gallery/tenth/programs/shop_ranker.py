"""Implicit-feedback recommender: two towers, BPR with sampled negatives, leave-one-out hit rate and nDCG at 10."""
import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

import lvmcheck

USERS, ITEMS, LATENT, K = 400, 300, 6, 10


def purchases(seed):
    """Users with tastes, items with properties and a popularity: 24 distinct purchases each, the last is held out."""
    rng = np.random.default_rng(seed)
    groups = rng.normal(size=(12, LATENT)) * 1.6
    users = groups[np.sort(rng.integers(0, 12, USERS))] + 0.5 * rng.normal(size=(USERS, LATENT))
    items = groups[rng.integers(0, 12, ITEMS)] * 0.7 + 0.4 * rng.normal(size=(ITEMS, LATENT))
    scores = users @ items.T * 0.8 + rng.normal(size=ITEMS) * 0.8
    scores = scores + rng.gumbel(size=scores.shape)
    ranked = np.argsort(-scores, axis=1)[:, :24]
    for row in ranked:
        rng.shuffle(row)
    return ranked[:, :-1], ranked[:, -1]


class Triples(Dataset):
    def __init__(self, bought, seed, fault):
        self.rows = [(u, i) for u, line in enumerate(bought) for i in line.tolist()]
        self.owned = [set(line.tolist()) for line in bought]
        self.rng = np.random.default_rng(seed)
        self.fault = fault
        self.first = {}

    def __len__(self):
        return len(self.rows)

    def draw(self, user):
        j = int(self.rng.integers(ITEMS))
        while j in self.owned[user]:
            j = int(self.rng.integers(ITEMS))
        return j

    def __getitem__(self, k):
        user, item = self.rows[k]
        if self.fault == "cached_negatives":
            if k not in self.first:
                self.first[k] = self.draw(user)
            return user, item, self.first[k]
        if self.fault == "negative_is_bought":
            return user, item, int(self.rng.choice(list(self.owned[user])))
        return user, item, self.draw(user)


class Towers(nn.Module):
    def __init__(self, dim=24, sparse=False, zero=False):
        super().__init__()
        self.user = nn.Embedding(USERS, dim, sparse=sparse)
        self.item = nn.Embedding(ITEMS, dim, sparse=sparse)
        self.bias = nn.Embedding(ITEMS, 1, sparse=sparse)
        for table in (self.user, self.item):
            nn.init.zeros_(table.weight) if zero else nn.init.normal_(table.weight, std=0.1)
        nn.init.zeros_(self.bias.weight)

    def forward(self, user, item):
        return (self.user(user) * self.item(item)).sum(-1) + self.bias(item).squeeze(-1)

    def everything(self, user):
        return self.user(user) @ self.item.weight.T + self.bias.weight.T


class Ranking:
    def __init__(self, bought, held, fault, habit):
        self.bought, self.held = torch.from_numpy(bought), torch.from_numpy(held)
        self.fault, self.habit = fault, habit
        self.candidates = torch.from_numpy(np.random.default_rng(5).integers(0, ITEMS, (USERS, 99)))

    @torch.no_grad()
    def __call__(self, model):
        scores = model.everything(torch.arange(USERS))
        target = self.held + 1 if self.fault == "one_based" else self.held
        target = target % ITEMS
        mine = scores.gather(1, target[:, None])
        if self.habit == "sampled_ranking":
            others = scores.gather(1, self.candidates)
        else:
            if self.fault != "seen_counted":
                scores = scores.scatter(1, self.bought, -1e9)
            others = scores
        rank = (others > mine).sum(1)
        hit = rank < K
        gain = 1 / torch.log2(rank + 2.0)
        if self.fault == "natural_log":
            gain = 1 / torch.log(rank + 2.0)
        return {"hit_rate_10": hit.float().mean().item(), "ndcg_10": (gain * hit).mean().item(), "mrr": (1 / (rank + 1)).mean().item()}


def train(outdir, fault, habit):
    torch.set_num_threads(1)
    torch.manual_seed(17)
    bought, held = purchases(4)
    seen = np.concatenate([bought, held[:, None]], 1) if fault == "held_out_kept" else bought
    data = Triples(seen, 1, fault)
    model = Towers(sparse=habit == "sparse", zero=fault == "zeros")
    ranking = Ranking(bought, held, fault, habit)
    epochs, lr, decay = 12, 1e-2, 1e-5
    if fault == "strong_decay":
        decay = 0.05
    if habit == "sparse":
        optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=lr)
    elif fault == "items_only":
        optimizer = torch.optim.Adam([*model.item.parameters(), *model.bias.parameters()], lr=lr, weight_decay=decay)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=decay)
    loader = DataLoader(data, batch_size=256, shuffle=fault != "by_user")
    warmup = 30

    with lvmcheck.record(outdir, config={"epochs": epochs, "lr": lr, "weight_decay": decay, "dim": 24}) as rec:
        step = 0
        for epoch in range(1, epochs + 1):
            if fault == "new_model_each_epoch":
                for table in (model.user, model.item):
                    nn.init.normal_(table.weight, std=0.1)
            model.train()
            total, correct, n = 0.0, 0, 0
            for user, item, other in loader:
                step += 1
                for group in optimizer.param_groups:
                    group["lr"] = lr * min(1, step / warmup)
                pos, neg = model(user, item), model(user, other)
                if fault == "swapped":
                    loss = -F.logsigmoid(neg - pos).mean()
                elif fault == "log_of_sigmoid":
                    loss = -torch.log(torch.sigmoid(20 * (pos - neg))).mean()
                else:
                    loss = -F.logsigmoid(pos - neg).mean()
                if fault != "never_cleared":
                    optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(user)
                correct += (pos > neg).sum().item()
                n += len(user)
                rec.step(loss=loss.item(), lr=optimizer.param_groups[0]["lr"], samples=len(user))
            model.eval()
            scores = ranking(model)
            if habit == "every_third" and epoch % 3:
                rec.epoch(epoch, bpr_loss=total / n, pair_accuracy=correct / n)
            else:
                rec.epoch(epoch, bpr_loss=total / n, pair_accuracy=correct / n, **scores)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("outdir")
    parser.add_argument("--fault", default="")
    parser.add_argument("--habit", default="")
    a = parser.parse_args()
    train(a.outdir, a.fault, a.habit)
