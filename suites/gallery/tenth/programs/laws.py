"""Functions that obey equations: boundary problems, orbits, pictures as functions, generated weights."""
import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="poisson")
a = p.parse_args()
torch.manual_seed(1)
torch.set_num_threads(1)


def tanh_net(inputs, outputs, width=32):
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs))


class Sine(nn.Module):
    def __init__(self, inputs, outputs, scale, first=False):
        super().__init__()
        self.linear, self.scale = nn.Linear(inputs, outputs), scale
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / scale
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x):
        return torch.sin(self.scale * self.linear(x))


def poisson(rec, use_lbfgs):
    """u'' = -f on (0, 1), u(0) = u(1) = 0, by collocation points drawn anew in each step."""
    model = tanh_net(1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    grid = torch.linspace(0, 1, 101)[:, None]
    exact = torch.sin(2 * math.pi * grid) + 0.3 * torch.sin(5 * math.pi * grid)

    def residual(x):
        x = x.requires_grad_(True)
        u = model(x)
        (du,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (ddu,) = torch.autograd.grad(du.sum(), x, create_graph=True)
        with torch.no_grad():
            f = (2 * math.pi) ** 2 * torch.sin(2 * math.pi * x) + 0.3 * (5 * math.pi) ** 2 * torch.sin(5 * math.pi * x)
        return ((ddu + f) ** 2).mean() / 100

    ends = torch.tensor([[0.0], [1.0]])
    for step in range(1, 1601):
        inside, edge = residual(torch.rand(64, 1)), (model(ends) ** 2).mean()
        loss = inside + 20 * edge
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rec.step(loss=loss, terms={"inside": (1.0, inside.item()), "edge": (20.0, edge.item())})
        if step == 800:
            optimizer.param_groups[0]["lr"] = 1e-3
        if step % 100 == 0:
            with torch.no_grad():
                rec.log(relative_error=(model(grid) - exact).norm() / exact.norm())
    if use_lbfgs:  # polish on fixed points
        fixed = torch.linspace(0, 1, 128)[:, None]
        second = torch.optim.LBFGS(model.parameters(), max_iter=15, line_search_fn="strong_wolfe")
        for _ in range(12):

            def closure():
                second.zero_grad()
                value = residual(fixed.clone()) + 20 * (model(ends) ** 2).mean()
                value.backward()
                return value

            rec.step(loss=second.step(closure))
            with torch.no_grad():
                rec.log(relative_error=(model(grid) - exact).norm() / exact.norm())


def orbit(rec, energy):
    """Learn the field of a pendulum from short pieces, by own Euler (or gradients of an energy)."""
    def field(s):
        return torch.stack([s[..., 1], -2 * torch.sin(s[..., 0])], -1)

    def walk(f, s, n, h):
        path = []
        for _ in range(n):
            k = f(s + h / 2 * f(s))
            s = s + h * k
            path.append(s)
        return torch.stack(path)

    class Dynamics(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = tanh_net(2, 1 if energy else 2, 48)

        def forward(self, s):
            if not energy:
                return self.net(s)
            with torch.enable_grad():
                if not s.requires_grad:
                    s = s.detach().requires_grad_(True)
                (g,) = torch.autograd.grad(self.net(s).sum(), s, create_graph=True)
            return torch.stack([g[..., 1], -g[..., 0]], -1)

    model = Dynamics()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    start = torch.randn(1600, 2) * torch.tensor([1.2, 1.2])
    with torch.no_grad():
        truth = walk(field, start, 40, 0.05)[[7, 15, 23, 31, 39]]
    test = torch.randn(100, 2)
    with torch.no_grad():
        far = walk(field, test, 100, 0.05)
    sched = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=400)
    for epoch in range(16):
        for rows in torch.randperm(1600).split(64):
            s, parts = start[rows], []
            for i in range(5):
                s = walk(model, s, 2, 0.2)[-1]
                parts.append(F.mse_loss(s, truth[i, rows]))
            loss = sum(parts) / 5
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            sched.step()
            rec.step(loss=loss, lr=sched.get_last_lr()[0])
        with torch.no_grad():
            rec.epoch(epoch, rollout_mse=F.mse_loss(walk(model, test, 25, 0.2), far[3::4]))


def picture(rec):
    """One picture as a function of its pixels: whole picture in every step, on purpose overfitted."""
    axis = torch.linspace(-1, 1, 40)
    yy, xx = torch.meshgrid(axis, axis, indexing="ij")
    image = torch.sin(9 * xx + 4 * yy**2) * torch.exp(-(xx**2) - yy**2) + (xx.abs() + yy.abs() < 0.4).float() * 0.5
    points, values = torch.stack([xx, yy], -1).reshape(-1, 2), image.reshape(-1, 1)
    model = nn.Sequential(Sine(2, 48, 12.0, True), Sine(48, 48, 12.0), nn.Linear(48, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(600):
        loss = F.mse_loss(model(points), values)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rec.step(loss=loss)
        if step % 40 == 39:
            rec.log(psnr=-10 * torch.log10(loss.detach()))


def generated(rec):
    """A network that writes the weights of a small one for each of many sine tasks."""
    hyper = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 16 + 16 + 16 + 1))
    optimizer = torch.optim.Adam(hyper.parameters(), lr=2e-3)

    def tasks(n):
        c = torch.rand(n, 2) * 2 - 1
        x = torch.rand(n, 24) * 4 - 2
        return c, x, (1 + 0.5 * c[:, :1]) * torch.sin(1.5 * x + 1.5 * c[:, 1:])

    def small(c, x):
        w1, b1, w2, b2 = hyper(c).split([16, 16, 16, 1], 1)
        h = torch.tanh(2 * x[:, :, None] * w1[:, None] + 2 * b1[:, None])
        return (h * w2[:, None]).sum(2) + b2

    held = tasks(300)
    for step in range(1, 1501):
        c, x, y = tasks(48)
        loss = F.mse_loss(small(c, x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rec.step(loss=loss, samples=48)
        if step % 100 == 0:
            with torch.no_grad():
                rec.log(val_loss=F.mse_loss(small(held[0], held[1]), held[2]))


with lvmcheck.record(a.out, config={"law": a.habit}) as rec:
    {
        "poisson": lambda: poisson(rec, False),
        "polished": lambda: poisson(rec, True),
        "euler": lambda: orbit(rec, False),
        "energy": lambda: orbit(rec, True),
        "picture": lambda: picture(rec),
        "generated": lambda: generated(rec),
    }[a.habit]()
