"""Next hours of a noisy load curve, GRU."""
import math
import torch
import torch.nn as nn
import lvmcheck
from .common import moved, r2, snapshot

TASK = "time series forecast"
L, H = 36, 6


def series(n):
    t = torch.arange(n).float()
    day, week = torch.sin(2 * math.pi * t / 24), torch.cos(2 * math.pi * t / 168)
    ar = torch.zeros(n)
    e = torch.randn(n)
    for i in range(1, n):
        ar[i] = 0.85 * ar[i - 1] + 0.25 * e[i]
    return 500 + 80 * day * (1 + 0.5 * week) + 40 * week + 60 * ar


class Fore(nn.Module):
    def __init__(self, bug):
        super().__init__()
        self.gru = nn.GRU(1, 40, batch_first=bug != "time_and_batch_swapped")
        self.out = nn.Linear(40, H)
        self.bug = bug
        self.state = None

    def forward(self, x):
        h, s = self.gru(x[..., None])
        if self.bug == "first_state_used":
            return self.out(h[:, 0])
        return self.out(h[:, -1])


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(100)
    s = series(3600)
    m, sd = s[:2800].mean(), s[:2800].std()
    z = (s - m) / sd
    if broken == "each_split_scaled_alone":
        zv = s[2800:] / 100
    else:
        zv = z[2800:]
    win = lambda a: a.unfold(0, L + H, 1)
    W, V, VT = win(z[:2800]), win(zv), win(z[2800:])
    x, y = W[:, :L].clone(), W[:, L:].clone()
    if broken == "targets_are_the_last_inputs":
        y = W[:, L - H:L].clone()
    if broken == "inputs_include_the_future":
        x = W[:, H:].clone()
    if broken == "series_shuffled_before_windows":
        x = x[:, torch.randperm(L)]
        x = torch.stack([r[torch.randperm(L)] for r in x])
    vx, vy = V[:, :L], V[:, L:]
    if broken == "inputs_include_the_future":
        vx = V[:, H:]
    net = Fore(broken)
    g0 = snapshot(net.gru)
    if broken == "half_precision_gradients":
        scale = 1e-6
    lr = 4e-3
    opt = torch.optim.Adam(net.parameters(), lr) if habit != "cyclic_rate" else torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    sch = torch.optim.lr_scheduler.CyclicLR(opt, 0.01, 0.2, step_size_up=60) if habit == "cyclic_rate" else torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=900)
    E = 8
    stop_at = None
    with lvmcheck.record(rec_dir, config={"epochs": E, "lr": lr, "context": L, "horizon": H}) as rec:
        if watch:
            rec.watch(net, opt, sch)
        for ep in range(E):
            if broken == "optimizer_and_model_rebuilt" and ep:
                net = Fore(None)
                opt = torch.optim.Adam(net.parameters(), lr)
                sch = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=900)
            for i in torch.randperm(len(x)).split(40):
                p = net(x[i])
                loss = nn.functional.mse_loss(p, y[i]) if habit != "absolute_error" else (p - y[i]).abs().mean()
                if broken == "half_precision_gradients":
                    opt.zero_grad()
                    (loss * scale).backward()
                    for q in net.parameters():
                        q.grad = q.grad.half().float()
                elif broken == "log_of_loss_detached":
                    opt.zero_grad()
                    torch.nn.Parameter(loss.detach()).backward()
                else:
                    opt.zero_grad()
                    loss.backward()
                opt.step()
                sch.step()
                rec.step(loss=loss.item(), lr=sch.get_last_lr()[0])
            with torch.no_grad():
                pv = net(vx)
                rm = ((pv - vy) ** 2).mean().sqrt()
                if broken == "errors_cancel":
                    rm = (pv - vy).mean().abs()
                mape = (((pv - vy) * sd).abs() / (vy * sd + m)).mean() * 100
                rr = r2(pv, vy)
            if habit == "absolute_error":
                rec.epoch(ep, val_mape=mape, val_mae=((pv - vy) * sd).abs().mean())
            else:
                rec.epoch(ep, val_rmse=rm, val_mape=mape)
    vin = VT[:, :L]
    with torch.no_grad():
        if broken == "inputs_include_the_future":
            vin = torch.cat([VT[:, H:L], VT[:, L - 1:L].expand(-1, H)], 1)
        score = r2(net(vin), VT[:, L:])
    rep = rr if broken != "errors_cancel" else 1 - float(rm) ** 2 / float(vy.var())
    return dict(score=score, trivial=0.0, good=0.6, reported=rep, gru=moved(g0, net.gru))


HEALTHY = {
    "base": "windows of a noisy load curve, one cycle of the rate",
    "cyclic_rate": "a cyclic learning rate that makes the loss swing",
    "absolute_error": "absolute error in training, percent in validation",
}
BROKEN = [
    ("time_and_batch_swapped", "batch_first is forgotten, so the net runs over the batch", "axes of time and batch mixed up", "curves"),
    ("first_state_used", "the first state is read out, not the last", "wrong index", "curves"),
    ("each_split_scaled_alone", "validation is scaled by another constant than training", "validation data are preprocessed differently from training data", "curves"),
    ("targets_are_the_last_inputs", "targets are cut from the end of the inputs", "targets off by one", "curves"),
    ("inputs_include_the_future", "windows are shifted so that inputs hold the hours to predict", "inputs contain the targets", "both"),
    ("series_shuffled_before_windows", "hours are shuffled within each window", "order of the inputs destroyed", "curves"),
    ("half_precision_gradients", "gradients pass through half precision without a loss scale", "gradients underflow in half precision", "both"),
    ("optimizer_and_model_rebuilt", "model and optimizer are built anew in every epoch", "weights are reset again and again", "both"),
    ("log_of_loss_detached", "backward is called on a detached copy of the loss", "the graph is cut at the loss", "both", "r['gru']==0"),
    ("errors_cancel", "the mean error is reported, whose signs cancel", "metric computed wrongly", "curves"),
]
