"""One trunk, several aims: uncertainty weights, projected gradients, students, domains."""
import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="sum")
a = p.parse_args()
torch.manual_seed(15)
torch.set_num_threads(1)

mixing = torch.randn(8, 40) / 8**0.5
centres = torch.randn(7, 8) * 1.2
slope = torch.randn(8)


def rows(n, shifted=False):
    y = torch.randint(0, 7, (n,))
    h = centres[y] + 0.6 * torch.randn(n, 8)
    x = torch.sin(h @ mixing) + 0.3 * torch.randn(n, 40)
    if shifted:
        x = 0.9 * x + 0.35 * torch.cos(torch.arange(40.0))
    return x, y, torch.tanh(h @ slope / 3) * 2 + 0.2 * torch.randn(n)


class Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return -ctx.strength * g, None


class Net(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(40, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.kind, self.size = nn.Linear(width, 7), nn.Linear(width, 1)
        self.domain = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 1))
        self.log_var = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.trunk(x)
        return self.kind(h), self.size(h.detach() if a.habit == "turns" else h).squeeze(1)


def project(first, second):
    """Each gradient without its part against the other."""
    dot = (first * second).sum()
    if dot >= 0:
        return first + second
    return first - dot / second.dot(second) * second + second - dot / first.dot(first) * first


def fit_teacher(loader):
    teacher = Net(128)
    optimizer = torch.optim.Adam(teacher.parameters(), lr=2e-3)
    for _ in range(5):
        for x, y, _ in loader:
            optimizer.zero_grad()
            F.cross_entropy(teacher(x)[0], y).backward()
            optimizer.step()
    return teacher.requires_grad_(False).eval()


train, val = rows(1600), rows(600, shifted=a.habit == "domains")
other = rows(1600, shifted=True)[0]
loader = DataLoader(TensorDataset(*train), batch_size=40, shuffle=True)
val_loader = DataLoader(TensorDataset(*val), batch_size=200)
model = Net(24 if a.habit == "distilled" else 64)
teacher = fit_teacher(loader) if a.habit == "distilled" else None
used = [q for n, q in model.named_parameters() if not (n.startswith("domain") and a.habit != "domains") and not (n == "log_var" and a.habit != "uncertain")]
if a.habit in ("distilled", "domains"):
    used = [q for q in used if not any(q is r for r in model.size.parameters())]
for q in model.parameters():
    q.requires_grad_(any(q is r for r in used))
if a.habit == "turns":
    body, tail = [*model.trunk.parameters(), *model.kind.parameters()], [*model.size.parameters()]
    optimizers = [torch.optim.Adam(body, lr=2e-3), torch.optim.Adam(tail, lr=2e-3)]
else:
    optimizers = [torch.optim.Adam(used, lr=2e-3)]

with lvmcheck.record(a.out, config={"habit": a.habit, "epochs": 10}) as rec:
    if a.habit in ("uncertain", "distilled"):
        rec.watch(model, optimizers[0], train=loader, val=val_loader)
    for epoch in range(1, 11):
        model.train()
        for i, (x, y, t) in enumerate(loader):
            kind, size = model(x)
            ce, mse = F.cross_entropy(kind, y), F.mse_loss(size, t)
            terms = {"kind": (1.0, ce.item()), "size": (1.0, mse.item())}
            if a.habit == "uncertain":
                w = model.log_var
                loss = (-w[0]).exp() * ce + w[0] / 2 + 0.5 * (-w[1]).exp() * mse + w[1] / 2
                terms = None
            elif a.habit == "distilled":
                with torch.no_grad():
                    soft = teacher(x)[0]
                kl = F.kl_div(F.log_softmax(kind / 3, 1), F.log_softmax(soft / 3, 1), log_target=True, reduction="batchmean") * 9
                loss, terms = 0.8 * kl + 0.2 * ce, {"kl": (0.8, kl.item()), "hard": (0.2, ce.item())}
            elif a.habit == "domains":
                strength = min(1.0, epoch / 8)
                far = other[torch.randint(0, len(other), (len(x),))]
                h = model.trunk(torch.cat([x, far]))
                guess = model.domain(Turn.apply(h, 0.1 * strength)).squeeze(1)
                which = torch.cat([torch.zeros(len(x)), torch.ones(len(far))])
                domain = F.binary_cross_entropy_with_logits(guess, which)
                loss, terms = ce + domain, {"kind": (1.0, ce.item()), "domain": (1.0, domain.item())}
            elif a.habit == "turns":  # the aims take turns, each with an optimizer of its own
                loss = ce if i % 2 == 0 else mse
                terms = None
            else:
                loss = ce + mse
            for o in optimizers:
                o.zero_grad()
            if a.habit == "projected":
                shared = list(model.trunk.parameters())
                g1 = torch.autograd.grad(ce, shared, retain_graph=True)
                g2 = torch.autograd.grad(mse, shared, retain_graph=True)
                loss.backward()
                flat = project(torch.cat([g.flatten() for g in g1]), torch.cat([g.flatten() for g in g2]))
                for q, part in zip(shared, flat.split([q.numel() for q in shared])):
                    q.grad = part.view_as(q).clone()
            else:
                loss.backward()
            optimizers[i % len(optimizers)].step()
            rec.step(loss=loss, terms=terms)
        model.eval()
        with torch.no_grad():
            parts = [(*model(x), y, t) for x, y, t in val_loader]
        kind, size, y, t = (torch.cat(q) for q in zip(*parts))
        more = {} if a.habit in ("distilled", "domains") else {"val_mse": F.mse_loss(size, t)}
        rec.epoch(epoch, val_ce=F.cross_entropy(kind, y), val_accuracy=(kind.argmax(1) == y).float().mean(), **more)
