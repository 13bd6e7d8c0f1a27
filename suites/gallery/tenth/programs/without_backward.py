"""Learners that need no back-propagation, or only a little."""
import argparse

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="evolution")
a = p.parse_args()
torch.manual_seed(19)
torch.set_num_threads(1)

mixing = torch.randn(8, 32) / 8**0.5
centres = torch.randn(6, 8) * 0.7


def rows(n):
    y = torch.randint(0, 6, (n,))
    return torch.tanh((centres[y] + 0.6 * torch.randn(n, 8)) @ mixing * 1.5) + 0.1 * torch.randn(n, 32), y


x, y = rows(2000)
xv, yv = rows(600)


def accuracy(out, y=yv):
    return (out.argmax(1) == y).float().mean().item()


def evolution(rec):
    model = nn.Sequential(nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 6))
    theta = nn.utils.parameters_to_vector(model.parameters()).detach()
    velocity, rate = torch.zeros_like(theta), 0.15

    def loss_at(vector, xb, yb):
        w1, b1, w2, b2 = vector.split([512, 16, 96, 6])
        h = torch.tanh(xb @ w1.view(16, 32).T + b1)
        return F.cross_entropy(h @ w2.view(6, 16).T + b2, yb)

    for generation in range(1, 401):
        pick = torch.randint(0, 2000, (200,))
        noise = torch.randn(16, len(theta))
        with torch.no_grad():
            gain = torch.stack([loss_at(theta + 0.05 * e, x[pick], y[pick]) - loss_at(theta - 0.05 * e, x[pick], y[pick]) for e in noise])
            slope = (gain[:, None] * noise).mean(0) / 0.1
            velocity = 0.9 * velocity + slope
            theta = theta - rate * 0.2 * velocity
            rec.step(loss=loss_at(theta, x[pick], y[pick]))
            if generation % 25 == 0:
                nn.utils.vector_to_parameters(theta, model.parameters())
                out = model(xv)
                rec.epoch(generation // 25, val_loss=F.cross_entropy(out, yv), fitness=-F.cross_entropy(out, yv), val_accuracy=accuracy(out))


class Prototypes(nn.Module):
    """Mini-batch k-means, then a vote of each cell."""

    def __init__(self, k=24):
        super().__init__()
        self.register_buffer("centre", x[torch.randperm(2000)[:k]].clone())
        self.register_buffer("count", torch.ones(k))

    @torch.no_grad()
    def forward(self, rows):
        d = torch.cdist(rows, self.centre) ** 2
        near, who = d.min(1)
        if self.training:
            for i in who.unique():
                mine = rows[who == i]
                self.count[i] += len(mine)
                self.centre[i].lerp_(mine.mean(0), float(len(mine) / self.count[i]))
        return near, who


def k_means(rec):
    model = Prototypes()
    for epoch in range(1, 11):
        model.train()
        for pick in torch.randperm(2000).split(50):
            distance, _ = model(x[pick])
            rec.step(loss=distance.mean())
        model.eval()
        _, cells = model(x)
        distance, who = model(xv)
        votes = torch.zeros(24, 6).index_put_((cells, y), torch.ones(2000), accumulate=True)
        rec.epoch(epoch, val_distortion=distance.mean(), purity=accuracy(votes[who]))


def features(rec):
    """Fixed random features; only the read-out learns."""
    lift = nn.Linear(32, 300).requires_grad_(False)
    nn.init.normal_(lift.weight, std=0.4)
    head = nn.Linear(300, 6)
    nn.init.zeros_(head.weight)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.05)
    with torch.no_grad():
        fixed, fixed_val = torch.cos(lift(x)), torch.cos(lift(xv))
    for epoch in range(1, 11):
        for pick in torch.randperm(2000).split(40):
            loss = F.cross_entropy(head(fixed[pick]), y[pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss)
        with torch.no_grad():
            out = head(fixed_val)
        rec.epoch(epoch, val_loss=F.cross_entropy(out, yv), val_accuracy=accuracy(out))


class Local(nn.Module):
    """A layer that is trained by a head of its own; no gradient passes on."""

    def __init__(self, inputs, width):
        super().__init__()
        self.layer, self.norm, self.head = nn.Linear(inputs, width), nn.LayerNorm(width), nn.Linear(width, 6)

    def forward(self, x):
        h = F.relu(self.norm(self.layer(x.detach())))
        return h, self.head(h)


def local(rec):
    layers = nn.ModuleList([Local(32, 64), Local(64, 64), Local(64, 64)])
    optimizers = [torch.optim.Adam(q.parameters(), lr=1e-3) for q in layers]
    for epoch in range(1, 7):
        layers.train()
        for pick in torch.randperm(2000).split(40):
            h, total = x[pick], 0.0
            for layer, optimizer in zip(layers, optimizers):
                h, out = layer(h)
                loss = F.cross_entropy(out, y[pick])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
            rec.step(loss=total, last_loss=loss)
        layers.eval()
        with torch.no_grad():
            h, figures = xv, {}
            for i, layer in enumerate(layers):
                h, out = layer(h)
                figures[f"accuracy_{i}"] = accuracy(out)
        rec.epoch(epoch, val_loss=F.cross_entropy(out, yv), **figures)


with lvmcheck.record(a.out, config={"learner": a.habit}) as rec:
    {"evolution": evolution, "k_means": k_means, "features": features, "local": local}[a.habit](rec)
