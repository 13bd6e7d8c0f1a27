"""Ordinal regression of an age band from a measured profile: cumulative logits."""
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "ordinal regression"
K = 7
FAULTS = {
    "levels_all_zero": ("the bands were scaled to 0..1 before they are compared with the thresholds", ["constant_targets", "outputs_collapsed", "metric_constant"], True),
    "no_zero_grad": ("zero_grad() is only called once an epoch", ["gradients_not_cleared"], True),
    "sorted_rows": ("rows are sorted by band and never shuffled", ["rows_sorted", "rows_never_shuffled", "data_order", "one_batch_repeated"], True),
    "relu_out": ("ReLU after the last layer: no logit is below 0", ["units_dead", "not_learning", "output_collapsed", "outputs_collapsed"], True),
    "stepped_twice": ("optimizer.step() is called twice", ["step_repeated"], True),
    "rows_scored_by_mean": ("val_mae is that of the rounded mean prediction: .mean() without dim", ["metric_constant"], False),
    "lr_zero": ("LambdaLR(lambda e: e // 10): the rate is 0 in every epoch", ["learning_rate_zero", "weights_never_move", "updates_out_of_range", "not_learning"], True),
}
HABITS = {"": "cumulative logits, mean absolute error", "early_stop": "stops after 3 epochs without a better score", "error_rate": "the share of wrong bands is logged",
          "smoothed": "levels of 0.05 and 0.95"}


def main():
    o = options()
    rng = np.random.default_rng(5)
    torch.manual_seed(5)
    age = rng.uniform(0, 7, 2400)
    grid = np.linspace(0, 7, 20)
    x = np.exp(-(grid[None] - age[:, None]) ** 2) + np.exp(-(grid[None] - (age[:, None] * 3) % 7) ** 2) + rng.normal(size=(2400, 20)) * .45
    y = age.astype(int)
    if o.fault == "sorted_rows":
        order = np.concatenate([np.sort(np.argsort(y[:2000], kind="stable")[:0]), np.argsort(y[:2000], kind="stable"), np.arange(2000, 2400)])
        order = order.astype(int)
        x, y = x[order], y[order]
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    levels = lambda b: (b[:, None] > torch.arange(K - 1)).float()
    if o.fault == "levels_all_zero":
        lv = levels(y / 7.)
        lv[:] = (y[:, None] / 7. > torch.arange(1, K)).float()
    else:
        lv = levels(y)
    if o.habit == "smoothed":
        lv = lv * .9 + .05
    net = nn.Sequential(nn.Linear(20, 48), nn.ELU(), nn.Dropout(.1), nn.Linear(48, K - 1))
    if o.fault == "relu_out":
        net.append(nn.ReLU())
    opt = torch.optim.SGD(net.parameters(), lr=.1, momentum=.9)
    sched = torch.optim.lr_scheduler.LambdaLR(opt, (lambda e: e // 10) if o.fault == "lr_zero" else (lambda e: .9 ** e))
    epochs = 40 if o.habit == "early_stop" else 10
    best, bad = 9e9, 0
    with lvmcheck.record(o.out, config={"epochs": epochs, "bands": K}) as rec:
        if o.watch:
            rec.watch(net, opt, sched, train=torch.utils.data.TensorDataset(x[:2000], lv[:2000]), val=torch.utils.data.TensorDataset(x[2000:], lv[2000:]))
        for e in range(epochs):
            opt.zero_grad()
            perm = torch.arange(2000) if o.fault == "sorted_rows" else torch.randperm(2000)
            for r in perm.split(40):
                loss = F.binary_cross_entropy_with_logits(net(x[r]), lv[r])
                if o.fault != "no_zero_grad":
                    opt.zero_grad()
                loss.backward()
                opt.step()
                if o.fault == "stepped_twice":
                    opt.step()
                rec.step(loss=loss, lr=opt.param_groups[0]["lr"])
            sched.step()
            net.eval()
            with torch.no_grad():
                z = net(x[2000:])
                band = (z > 0).sum(1)
                vl = F.binary_cross_entropy_with_logits(z, lv[2000:])
                mae = (band - y[2000:]).abs().float().mean()
                if o.fault == "rows_scored_by_mean":
                    m = dict(val_bce=vl, val_mae=(band.float().mean().round() - y[2000:].float().mean().round()).abs())
                elif o.habit == "error_rate":
                    m = dict(val_bce=vl, val_error_rate=(band != y[2000:]).float().mean())
                else:
                    m = dict(val_bce=vl, val_mae=mae)
            net.train()
            rec.epoch(e, **m)
            if o.habit == "early_stop":
                if vl < best - 1e-4:
                    best, bad = vl, 0
                else:
                    bad += 1
                if bad == 3:
                    break
    facts(score=-mae, trivial=-(y[2000:] - y[:2000].float().median()).abs().float().mean(), loss=vl)


if __name__ == "__main__":
    main()
