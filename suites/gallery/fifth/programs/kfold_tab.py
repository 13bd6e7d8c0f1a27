"""Five folds of a small table, recorded as one run."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "k-fold regression"
FAULTS = {
    "one_model_for_folds": ("the model is made before the loop over folds", ["leaked_split", "validation_is_training"], True),
    "made_each_epoch": ("model and optimizer are made inside of the loop over epochs", ["weights_reset", "not_learning"], True),
    "target_among_inputs": ("the column of the target was left in the inputs", ["target_leak", "label_leak"], True),
    "copied_rows": ("rows were over-sampled before they were split", ["leaked_split", "duplicated_rows"], True),
    "r2_of_train": ("val_r2 is computed from the training part", ["validation_is_training", "leaked_split"], True),
}
HABITS = {"": "the loss starts anew at each of three folds", "one_fold": "one fold of 60 rows, noisy"}


def build():
    return nn.Sequential(nn.Linear(11, 40), nn.ReLU(), nn.Dropout(.1), nn.Linear(40, 1))


def main():
    o = options()
    torch.manual_seed(70)
    n = 300 if o.habit == "one_fold" else 900
    x = torch.randn(n, 11)
    y = x[:, 0] * 1.5 + x[:, 1] * x[:, 2] + (3 * x[:, 3]).sin() + .5 * torch.randn(n)
    if o.fault == "target_among_inputs":
        x[:, 10] = y
    if o.fault == "copied_rows":
        x, y = torch.cat([x, x, x]), torch.cat([y, y, y])
        p = torch.randperm(len(x))
        x, y = x[p], y[p]
    parts = torch.arange(len(x)).chunk(5)
    net = build()
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    folds = [0] if o.habit == "one_fold" or o.fault == "made_each_epoch" else [0, 1, 2]
    n_ep = 24 if len(folds) == 1 else 10
    with lvmcheck.record(o.out, config={"folds": len(folds), "epochs_per_fold": n_ep}) as rec:
        k = 0
        for f in folds:
            va, tr = parts[f], torch.cat([parts[i] for i in range(5) if i != f])
            if o.fault != "one_model_for_folds":
                net = build()
                opt = torch.optim.Adam(net.parameters(), lr=5e-3)
            if o.watch and (f == 0 or o.fault != "one_model_for_folds"):
                rec.watch(net, opt, train=torch.utils.data.TensorDataset(x[tr], y[tr]), val=torch.utils.data.TensorDataset(x[va], y[va]))
            for e in range(n_ep):
                if o.fault == "made_each_epoch":
                    net = build()
                    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
                for r in tr[torch.randperm(len(tr))].split(30):
                    loss = F.mse_loss(net(x[r])[:, 0], y[r])
                    opt.zero_grad()
                    loss.backward()
                    opt.step()
                    rec.step(loss=loss.item())
                net.eval()
                with torch.no_grad():
                    w = tr if o.fault == "r2_of_train" else va
                    pv, pt = net(x[w])[:, 0], net(x[tr])[:, 0]
                    r2 = 1 - F.mse_loss(pv, y[w]) / y[w].var()
                    rec.epoch(k, train_r2=1 - F.mse_loss(pt, y[tr]) / y[tr].var(), val_r2=r2, val_mse=F.mse_loss(pv, y[w]))
                net.train()
                k += 1
    g = torch.Generator().manual_seed(1)
    hx = torch.randn(600, 11, generator=g)
    hy = hx[:, 0] * 1.5 + hx[:, 1] * hx[:, 2] + (3 * hx[:, 3]).sin()
    net.eval()
    with torch.no_grad():
        hon = 1 - F.mse_loss(net(hx)[:, 0], hy) / hy.var()
    facts(score=hon, trivial=0., reported=r2)


if __name__ == "__main__":
    main()
