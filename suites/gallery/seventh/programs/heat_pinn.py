"""Physics-informed network: -u'' = f on [0, 1] with u(0) = u(1) = 0. Steps only."""
import math

import torch
from torch import nn

import lvmcheck
from common import options

torch.set_num_threads(1)
o = options()
torch.manual_seed(14)


def solution(x):
    return torch.sin(math.pi * x) + 0.3 * torch.sin(3 * math.pi * x)


def source(x):
    if o.fault == "source_sign":
        return -(math.pi ** 2) * torch.sin(math.pi * x) + 0.3 * 9 * math.pi ** 2 * torch.sin(3 * math.pi * x)
    return math.pi ** 2 * torch.sin(math.pi * x) + 0.3 * 9 * math.pi ** 2 * torch.sin(3 * math.pi * x)


def derivative(u, x):
    return torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)[0]


act = nn.ReLU if o.fault == "relu_has_no_second_derivative" else nn.Tanh
net = nn.Sequential(nn.Linear(1, 32), act(), nn.Linear(32, 32), act(), nn.Linear(32, 1))
STEPS = 700
lr = 4e-3
opt = torch.optim.Adam(net.parameters(), lr=lr)
sched = torch.optim.lr_scheduler.ExponentialLR(opt, 0.9955)
w_bc = 0.0 if o.fault == "boundary_weight_zero" else 20.0
if o.habit == "weak_boundary":
    w_bc = 5.0
with lvmcheck.record(o.out, config={"steps": STEPS, "lr": lr, "boundary_weight": w_bc, "equation": "-u''=f"}) as rec:
    if o.watch:
        rec.watch(net, opt, sched)
    few = torch.rand(6, 1)
    for step in range(1, STEPS + 1):
        x = (few.clone() if o.fault == "six_fixed_points" else torch.rand(48, 1)).requires_grad_()
        u = net(x)
        uxx = derivative(derivative(u, x), x) if o.fault != "relu_has_no_second_derivative" else derivative(derivative(u, x) + 0 * x, x)
        pde = (uxx + source(x)).pow(2).mean()
        bc = net(torch.tensor([[0.0], [1.0]])).pow(2).mean()
        if o.habit == "supervised_hints":
            xs = torch.rand(8, 1)
            bc = bc + (net(xs) - solution(xs) - 0.02 * torch.randn(8, 1)).pow(2).mean()
        if o.fault == "residual_detached":
            pde = pde.detach()
        loss = pde + w_bc * bc
        opt.zero_grad()
        loss.backward()
        opt.step()
        rec.step(loss=loss, pde=pde, bc=bc)
        sched.step()
        if step % 100 == 0:
            with torch.no_grad():
                grid = torch.linspace(0, 1, 200)[:, None]
                err = (net(grid) - solution(grid)).norm() / solution(grid).norm()
            rec.log(val_rel_l2=err)
