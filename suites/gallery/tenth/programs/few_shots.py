"""Learn to learn: sine curves and new classes from a handful of rows."""
import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="maml")
a = p.parse_args()
torch.manual_seed(14)
torch.set_num_threads(1)


def curves(n, shots):
    size, phase = torch.rand(n, 1, 1) * 2 + 0.5, torch.rand(n, 1, 1) * 3.14
    x = torch.rand(n, 2 * shots, 1) * 8 - 4
    y = size * torch.sin(x + phase)
    return x[:, :shots], y[:, :shots], x[:, shots:], y[:, shots:]


mixing = torch.randn(6, 30) / 6**0.5


def episode(ways=5, shots=3, queries=8):
    """Classes nobody saw before, in every episode."""
    centres = torch.randn(ways, 6) * 1.2
    h = centres[:, None] + 0.4 * torch.randn(ways, shots + queries, 6)
    x = torch.sin(1.5 * h @ mixing) + 0.2 * torch.randn(ways, shots + queries, 30)
    y = torch.arange(ways).repeat_interleave(queries)
    return x[:, :shots], x[:, shots:].reshape(-1, 30), y


class Curve(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1))

    def forward(self, x):
        return self.net(x)


def inner(params, model, x, y, steps, rate, create_graph):
    for _ in range(steps):
        loss = F.mse_loss(functional_call(model, params, (x,)), y)
        slopes = torch.autograd.grad(loss, list(params.values()), create_graph=create_graph)
        params = {k: q - rate * g for (k, q), g in zip(params.items(), slopes)}
    return params


def adapt_error(model, tasks, steps=5):
    xs, ys, xq, yq = tasks
    total = 0.0
    for i in range(len(xs)):
        params = {k: q.detach().clone().requires_grad_(True) for k, q in model.named_parameters()}
        params = inner(params, model, xs[i], ys[i], steps, 0.02, False)
        with torch.no_grad():
            total += F.mse_loss(functional_call(model, params, (xq[i],)), yq[i]).item()
    return total / len(xs)


def curve_run(rec):
    model, fixed = Curve(), curves(40, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for step in range(1, 601):
        xs, ys, xq, yq = curves(5, 10)
        if a.habit == "reptile":
            before = [q.detach().clone() for q in model.parameters()]
            start, first = {k: q.detach().clone().requires_grad_(True) for k, q in model.named_parameters()}, 0.0
            moved = [inner(start, model, torch.cat([xs[i], xq[i]]), torch.cat([ys[i], yq[i]]), 6, 0.02, False) for i in range(5)]
            for q, old, new in zip(model.parameters(), before, zip(*(m.values() for m in moved))):
                q.grad = old - torch.stack(new).mean(0).detach()
            optimizer.step()
            with torch.no_grad():
                first = sum(F.mse_loss(functional_call(model, m, (xq[i],)), yq[i]) for i, m in enumerate(moved)) / 5
            rec.step(loss=first)
        elif a.habit == "per_task":  # all tasks at once by vmap
            params = dict(model.named_parameters())

            def after(params, xs, ys, xq, yq):
                slopes = grad(lambda q: F.mse_loss(functional_call(model, q, (xs,)), ys))(params)
                stepped = {k: params[k] - 0.05 * slopes[k] for k in params}
                return F.mse_loss(functional_call(model, stepped, (xq,)), yq)

            loss = vmap(after, in_dims=(None, 0, 0, 0, 0))(params, xs, ys, xq, yq).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss)
        else:
            params = dict(model.named_parameters())
            losses = []
            for i in range(5):
                fast = inner(params, model, xs[i], ys[i], 2, 0.02, a.habit == "maml")
                losses.append(F.mse_loss(functional_call(model, fast, (xq[i],)), yq[i]))
            loss = sum(losses) / 5
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss)
        if step % 50 == 0:
            rec.log(adapted_mse=adapt_error(model, fixed))


def class_run(rec):
    net = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 32))
    scale = nn.Parameter(torch.tensor(5.0))
    optimizer = torch.optim.Adam([*net.parameters(), scale], lr=1e-3)

    def scores(support, query):
        s, q = net(support.reshape(-1, 30)).reshape(*support.shape[:2], -1), net(query)
        if a.habit == "matching":  # cosine attention over all support rows
            flat = F.normalize(s.flatten(0, 1), dim=1)
            weight = F.softmax(scale * F.normalize(q, dim=1) @ flat.T, 1)
            return weight.reshape(len(q), *s.shape[:2]).sum(2).clamp(min=1e-6).log()
        return -torch.cdist(q, s.mean(1)) ** 2 / 8

    for step in range(1, 801):
        support, query, y = episode()
        loss = F.cross_entropy(scores(support, query), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rec.step(loss=loss)
        if step % 80 == 0:
            with torch.no_grad():
                trials = [episode() for _ in range(60)]
                right = [(scores(s, q).argmax(1) == y).float().mean() for s, q, y in trials]
            rec.log(five_way_accuracy=torch.stack(right).mean())


with lvmcheck.record(a.out, config={"algorithm": a.habit}, seed=14) as rec:
    (class_run if a.habit in ("prototypes", "matching") else curve_run)(rec)
