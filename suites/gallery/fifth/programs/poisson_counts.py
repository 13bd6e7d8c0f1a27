"""Poisson regression of counts up to some hundreds."""
import numpy as np
import torch
from torch import nn
import lvmcheck
from common import options, facts

TASK = "Poisson counts"
FAULTS = {
    "year_column": ("a column near 2,000,000 is left unscaled", ["inputs_not_normalised", "initial_outputs_too_large", "exploding_gradient", "not_learning", "diverging", "numeric_range", "module_makes_nan"], True),
    "log_of_zero": ("squared error of log counts, and some counts are 0", ["numeric_range", "module_makes_nan"], True),
    "sum_not_mean": ("reduction='sum' at the learning rate of the mean", ["wrong_scale", "learning_rate_too_high", "exploding_gradient", "diverging", "clipped_always", "numeric_range", "not_learning", "module_makes_nan"], True),
    "scaled_in_place": ("x -= mean; x /= std inside of the loop, on the stored rows", ["rescaled_in_place", "validation_differs", "data_order"], True),
    "clicks_of_other_rows": ("the counts are sorted, the inputs are not", ["label_mismatch", "rows_sorted", "not_learning", "label_noise", "overfitting"], True),
}
HABITS = {"": "Poisson loss without the constant: far below 0", "summed": "summed loss with a small rate", "sgd_plain": "SGD at one rate", "tiny_scale": "mean squared error of rates in thousands: a loss of 1e-4"}


def main():
    o = options()
    rng = np.random.default_rng(21)
    torch.manual_seed(21)
    n = 3000
    x = rng.normal(size=(n, 8)) * 2 + 1
    f = (x - 1) / 2
    eta = 4.2 + .5 * f[:, 0] - .4 * f[:, 1] * f[:, 2] + .3 * np.sin(2 * f[:, 3])
    if o.fault == "log_of_zero":
        eta = eta - 3
    y = rng.poisson(np.exp(eta)).astype("f")
    if o.fault == "year_column":
        x[:, 7] = 2_000_000 + rng.integers(0, 9, n)
    x = torch.from_numpy(x.astype("f"))
    y = torch.from_numpy(y)
    tx, ty, vx, vy = x[:2400].clone(), y[:2400].clone(), x[2400:], y[2400:]
    if o.fault == "clicks_of_other_rows":
        ty = ty.sort().values
    mu, sd = tx.mean(0), tx.std(0)
    if o.fault not in ("scaled_in_place", "year_column"):
        tx = (tx - mu) / sd
    if o.fault != "year_column":
        vx = (vx - mu) / sd
    unit = 1e-3 if o.habit == "tiny_scale" else 1.
    net = nn.Sequential(nn.Linear(8, 40), nn.Tanh(), nn.Linear(40, 1))
    if o.fault == "year_column":
        net = nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 1))
    nll = nn.PoissonNLLLoss(log_input=True, reduction="sum" if o.fault == "sum_not_mean" or o.habit == "summed" else "mean")
    if o.habit == "sgd_plain" or o.fault == "sum_not_mean":
        opt = torch.optim.SGD(net.parameters(), lr=5e-4)
    else:
        opt = torch.optim.Adam(net.parameters(), lr=1e-2)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(tx, ty), batch_size=60, shuffle=o.fault != "scaled_in_place")

    def cost(out, t):
        if o.fault == "exp_twice":
            return nll(out.exp(), t)
        if o.fault == "log_of_zero":
            return (out - t.log()).square().mean()
        if o.habit == "tiny_scale":
            return (out.exp() * unit - t * unit).square().mean()
        return nll(out, t)
    with lvmcheck.record(o.out, config={"optimizer": type(opt).__name__, "lr": opt.param_groups[0]["lr"]}) as rec:
        if o.watch:
            rec.watch(net, opt, train=loader, val=torch.utils.data.TensorDataset(vx, vy))
        for e in range(10):
            s = 0.
            batches = loader
            if o.fault == "scaled_in_place":
                batches = [(tx[i:i + 60], ty[i:i + 60]) for i in torch.randperm(40).mul(60).tolist()]
            for xb, yb in batches:
                if o.fault == "scaled_in_place":
                    xb -= mu
                    xb /= sd
                loss = cost(net(xb).squeeze(1), yb)
                opt.zero_grad()
                loss.backward()
                opt.step()
                s += loss.item()
                rec.step(loss=loss)
            with torch.no_grad():
                z = net(vx).squeeze(1)
                mae = (z.exp() - vy).abs().mean() * unit
                rec.epoch(e, train_nll=s / len(batches), val_nll=cost(z, vy), val_mae=mae)
    facts(score=-mae / unit, trivial=-(vy - ty.median()).abs().mean())


if __name__ == "__main__":
    main()
