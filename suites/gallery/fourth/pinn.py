"""A damped oscillator from its equation alone."""
import torch
import torch.nn as nn
import lvmcheck
from .common import moved, snapshot

TASK = "physics-informed net"


def exact(t):
    w = (3.0 ** 2 - 0.4 ** 2) ** 0.5
    return torch.exp(-0.4 * t) * (torch.cos(w * t) + 0.4 / w * torch.sin(w * t))


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(81)
    act = nn.ReLU() if broken == "relu_has_no_second_derivative" else nn.Tanh()
    net = nn.Sequential(nn.Linear(1, 48), act, nn.Linear(48, 48), act, nn.Linear(48, 1))
    p0 = snapshot(net)
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    sch = torch.optim.lr_scheduler.ExponentialLR(opt, 0.9992)
    tt = torch.linspace(0, 3, 200)[:, None]

    def residual(t):
        t = t.requires_grad_(True)
        u = net(t)
        du, = torch.autograd.grad(u.sum(), t, create_graph=True)
        if broken == "derivative_without_graph":
            du, = torch.autograd.grad(u.sum(), t, retain_graph=True)
            return du + 9 * u.detach()
        ddu, = torch.autograd.grad(du.sum(), t, create_graph=True)
        if broken == "damping_sign":
            return ddu - 0.8 * du + 9 * u
        return ddu + 0.8 * du + 9 * u

    wb = {"boundary_weight_tiny": 1e-7}.get(broken, 20.0)
    steps = 1800
    with lvmcheck.record(rec_dir, config={"steps": steps, "lr": 3e-3, "boundary_weight": wb}) as rec:
        if watch:
            rec.watch(net, opt, sch)
        for k in range(steps):
            if broken == "points_outside":
                t = 3 + torch.rand(64, 1) * 3
            elif broken == "points_all_equal":
                t = torch.rand(1, 1).expand(64, 1).clone() * 0
            elif habit == "curriculum_in_time":
                t = torch.rand(64, 1) * min(3.0, 1.0 + k / 500)
            elif habit == "fixed_grid":
                t = torch.linspace(0, 3, 64)[:, None].clone()
            else:
                t = torch.rand(64, 1) * 3
            r = residual(t)
            pde = (r ** 2).mean() / 10
            z = torch.zeros(1, 1, requires_grad=True)
            u0 = net(z)
            v0, = torch.autograd.grad(u0.sum(), z, create_graph=True)
            bc = (u0 - 1).pow(2).sum() + v0.pow(2).sum() / 10
            if broken == "boundary_dropped":
                bc = bc.detach()
            if broken == "residual_dropped":
                pde = pde.detach()
            loss = pde + wb * bc
            opt.zero_grad()
            loss.backward()
            opt.step()
            sch.step()
            rec.step(loss=loss, terms={"pde": (1.0, pde), "bc": (wb, bc)} if habit != "no_terms" else None)
            if k % 300 == 299:
                with torch.no_grad():
                    err = ((net(tt) - exact(tt)) ** 2).mean().sqrt().item()
                if broken == "error_on_boundary_only":
                    with torch.no_grad():
                        err = (net(tt[:1]) - exact(tt[:1])).abs().item()
                if habit != "no_reference":
                    rec.log({"rmse": err}, step=k + 1)
    with torch.no_grad():
        e = ((net(tt) - exact(tt)) ** 2).mean().sqrt().item()
    zero = exact(tt).pow(2).mean().sqrt().item()
    return dict(score=-e, trivial=-zero, good=-0.5 * zero, reported=-err if habit != "no_reference" else None, moved=moved(p0, net))


HEALTHY = {
    "base": "residual of the equation plus the start values",
    "curriculum_in_time": "the time range grows, and the loss with it",
    "fixed_grid": "the same points in every step",
    "no_reference": "nothing but the training loss",
    "no_terms": "the total without its terms",
}
BROKEN = [
    ("relu_has_no_second_derivative", "ReLU, whose second derivative is zero", "an operation without gradient in the loss", "curves"),
    ("derivative_without_graph", "create_graph is missing and the rest detached, so the residual has no gradient", "part of the graph is detached", "watch"),
    ("damping_sign", "the damping has the wrong sign", "a term of the equation has the wrong sign", "curves"),
    ("boundary_weight_tiny", "the start values weigh 1e-7", "a loss term has the wrong weight", "both"),
    ("points_outside", "points are drawn outside the domain", "training on the wrong range", "curves"),
    ("points_all_equal", "all points are zero", "constant data", "curves"),
    ("boundary_dropped", "the start values' loss is detached", "a loss term is detached", "both"),
    ("residual_dropped", "the residual's loss is detached", "a loss term is detached", "both"),
    ("error_on_boundary_only", "the reported error is that of the first point", "metric on a part of the data", "curves"),
]
