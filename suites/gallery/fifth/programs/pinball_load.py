"""Quantiles of the next hour's load, pinball loss, persistence as baseline."""
import numpy as np
import torch
from torch import nn
import lvmcheck
from common import options, facts

TASK = "quantile forecasting"
FAULTS = {
    "target_in_window": ("the target is the last value of the window, not the next one", ["target_leak", "label_leak"], True),
    "pinball_reversed": ("pinball of prediction - target in place of target - prediction", ["loss_sign", "metric_constant", "not_learning"], False),
    "unsqueezed": ("predictions [N, 1] minus targets [N]", ["targets_broadcast", "not_learning", "outputs_collapsed", "collapsed_representation"], True),
    "val_raw": ("the validation windows are cut from the raw series, training from the standardised one", ["validation_differs", "inputs_not_normalised"], True),
    "validation_in_train": ("the training rows include those of validation", ["leaked_split", "validation_is_training", "duplicated_rows"], True),
    "scheduler_per_batch": ("StepLR of 5 epochs is stepped at every batch", ["scheduler_at_wrong_pace", "schedule_ended_early", "learning_rate_too_low", "learning_rate_zero"], True),
}
HABITS = {"": "pinball loss, plateau at the noise", "val_every_3": "validation in every third epoch", "mape": "error in percent", "tiny_val": "25 rows of validation"}


def main():
    o = options()
    rng = np.random.default_rng(8)
    torch.manual_seed(8)
    t = np.arange(2600)
    s = 50 + 12 * np.sin(t * 2 * np.pi / 24) + 5 * np.sin(t * 2 * np.pi / 168) + rng.gamma(2., 1.6, 2600)
    if o.fault == "validation_in_train" or o.fault == "":
        pass
    cut = 2000
    mu, sd = s[:cut].mean(), s[:cut].std()
    z = (s - mu) / sd
    if o.fault == "val_raw":
        z[cut:] = s[cut:]
    if o.fault == "tail_dominates":
        z[700] = 1e5
    z = torch.tensor(z, dtype=torch.float32)
    gap = 1 if o.fault == "target_in_window" else 0
    X = z.unfold(0, 36, 1)[:-1]
    Y = z[36 - gap:][:len(X)]
    if o.fault == "tail_dominates":
        X = X.clamp(-5, 5)
    tx, ty, vx, vy = X[:cut - 36], Y[:cut - 36], X[cut:], Y[cut:]
    if o.fault == "validation_in_train":
        tx, ty = X, Y
    if o.habit == "tiny_val":
        vx, vy = vx[:25], vy[:25]
    q = torch.tensor([.1, .5, .9])
    net = nn.Sequential(nn.Linear(36, 48), nn.ReLU(), nn.Linear(48, 3))
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    sch = torch.optim.lr_scheduler.StepLR(opt, 5, gamma=.3)

    def pinball(p, y):
        if o.fault == "unsqueezed":
            d = torch.stack([y - p[:, i:i + 1] for i in range(3)], -1)
        else:
            d = y[:, None] - p
        if o.fault == "pinball_reversed":
            d = -d
        return torch.maximum(q * d, (q - 1) * d).mean()
    ds, vd = torch.utils.data.TensorDataset(tx, ty), torch.utils.data.TensorDataset(vx, vy)
    loader = torch.utils.data.DataLoader(ds, 32, shuffle=True)
    with lvmcheck.record(o.out, config={"epochs": 12, "batch_size": 32, "lr": 2e-3}, seed=8) as rec:
        if o.watch:
            rec.watch(net, opt, sch, train=loader, val=vd)
        for epoch in range(12):
            net.train()
            run = []
            for xb, yb in loader:
                opt.zero_grad()
                loss = pinball(net(xb), yb)
                loss.backward()
                opt.step()
                if o.fault == "scheduler_per_batch":
                    sch.step()
                run.append(loss.item())
                rec.step(loss=run[-1], lr=sch.get_last_lr()[0])
            if o.fault != "scheduler_per_batch":
                sch.step()
            if o.habit == "val_every_3" and epoch % 3:
                rec.epoch(epoch, train_pinball=float(np.mean(run)))
                continue
            net.eval()
            with torch.no_grad():
                p = net(vx)
                m = dict(valid_pinball=pinball(p, vy), valid_coverage=((vy > p[:, 0]) & (vy < p[:, 2])).float().mean())
                if o.habit == "mape":
                    m = dict(valid_mape=((p[:, 1] - vy) * sd / (vy * sd + mu)).abs().mean() * 100)
            rec.epoch(epoch, train_pinball=float(np.mean(run)), **m)
    y = z[36:][:len(X)][cut:]
    with torch.no_grad():
        e = y[:, None] - net(X[cut:])
    d = torch.maximum(q * e, (q - 1) * e).mean()
    e = (y - X[cut:, -1])[:, None]
    facts(score=-d, trivial=-torch.maximum(q * e, (q - 1) * e).mean(), cover=float(m.get("valid_coverage", -1)))


if __name__ == "__main__":
    main()
