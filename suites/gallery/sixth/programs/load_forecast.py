"""Hourly load of a town one day ahead, dilated convolutions over windows."""
import math
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
import lvmcheck
from common import options, facts

TASK = "time-series forecasting"
FAULTS = {
    "window_holds_target": ("the window ends with the hour that is asked for", ["target_leak", "label_leak"], True),
    "val_own_units": ("validation is scaled by the minimum and range of its own", ["validation_transformed", "validation_differs"], True),
    "decay_five": ("weight_decay=5 with AdamW at 0.01", ["weight_decay_destroys", "outputs_collapsed", "undertrained"], True),
    "windows_mixed": ("overlapping windows are split at random and every window is there twice", ["leaked_split", "duplicated_rows"], True),
    "tanh_saturated": ("the first layer is drawn with std 30", ["units_saturated", "initial_outputs_too_large", "gradients_scaled_by_depth"], True),
    "target_row_off": ("targets are those of the next window in the shuffled order", ["label_mismatch", "not_learning", "memorisation"], True),
}
HABITS = {"": "six epochs, error beside that of yesterday's hour", "every_second_mase": "validation each second epoch, only as MASE", "resumed": "the run is resumed from weights and optimizer of three epochs"}
T = 48


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv1d(1, 24, 4, stride=2), nn.Conv1d(24, 24, 4, stride=2)
        self.head = nn.Sequential(nn.LazyLinear(32), nn.ReLU(), nn.Linear(32, 1))
        self.act = nn.Tanh()

    def forward(self, x):
        return self.head(self.act(self.c2(self.act(self.c1(x[:, None])))).flatten(1))[:, 0]


def main():
    o = options()
    torch.manual_seed(20)
    t = torch.arange(5000).float()
    day, week = torch.sin(2 * math.pi * t / 24), torch.sin(2 * math.pi * t / 168)
    ar = torch.zeros(5000)
    for i in range(1, 5000):
        ar[i] = .93 * ar[i - 1] + .3 * torch.randn(())
    load = 500 + 120 * day * (1 + .4 * week) + 40 * torch.sin(4 * math.pi * t / 24) + 60 * ar
    ahead = 0 if o.fault == "window_holds_target" else 6
    cut = 4000
    if o.fault == "val_own_units":
        v = load[cut:]
        series = torch.cat([(load[:cut] - load[:cut].mean()) / load[:cut].std(), (v - v.min()) / (v.max() - v.min())])
    else:
        series = (load - load[:cut].mean()) / load[:cut].std()

    def windows(s):
        w = s.unfold(0, T + 6, 1)
        return w[:, :T] if ahead else w[:, 6:], w[:, -1]
    (tx, ty), (vx, vy) = windows(series[:cut]), windows(series[cut:])
    if o.fault == "windows_mixed":
        x, y = windows(series)
        x, y = x.repeat(2, 1), y.repeat(2)
        order = torch.randperm(len(x))
        x, y = x[order], y[order]
        tx, ty, vx, vy = x[:4000], y[:4000], x[4000:5500], y[4000:5500]
    if o.fault == "target_row_off":
        p = torch.randperm(len(tx))
        tx, ty = tx[p], ty[p.roll(1)]
    model = Net()
    model(tx[:2])
    if o.fault == "tanh_saturated":
        nn.init.normal_(model.c1.weight, std=30.)
        nn.init.normal_(model.c2.weight, std=30.)
    lr = .01 if o.fault == "decay_five" else 2e-3
    opt = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=5. if o.fault == "decay_five" else .01)
    train, val = DataLoader(TensorDataset(tx, ty), batch_size=64, shuffle=True), DataLoader(TensorDataset(vx, vy), batch_size=256)
    epochs, first = 6, 1
    if o.habit == "resumed":
        for _ in range(3):
            for bx, by in train:
                opt.zero_grad()
                F.mse_loss(model(bx), by).backward()
                opt.step()
        first, epochs = 4, 9
    naive = (vx[:, -18] - vy).abs().mean() if ahead else torch.tensor(.6)
    with lvmcheck.record(o.out, config={"epochs": epochs, "lr": lr, "window": T}) as rec:
        if o.watch:
            rec.watch(model, opt, train=train, val=val)
        for epoch in range(first, epochs + 1):
            for bx, by in train:
                loss = F.mse_loss(model(bx), by)
                opt.zero_grad()
                loss.backward()
                opt.step()
                rec.step(loss=loss.detach(), lr=lr)
            model.eval()
            with torch.no_grad():
                out = torch.cat([model(bx) for bx, _ in val])
            model.train()
            if o.habit == "every_second_mase":
                rec.epoch(epoch, **({} if epoch % 2 else {"val_mase": (out - vy).abs().mean() / naive}))
            else:
                rec.epoch(epoch, val_mse=F.mse_loss(out, vy), val_mae=(out - vy).abs().mean())
    facts(score=F.mse_loss(out, vy), trivial=vy.var(), lower_is_better=True, mase=(out - vy).abs().mean() / naive)


if __name__ == "__main__":
    main()
