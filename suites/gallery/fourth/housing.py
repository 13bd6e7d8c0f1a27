"""Tabular regression with an MLP."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
import lvmcheck
from .common import moved, r2, snapshot

TASK = "tabular regression"


def table(n, rng):
    X = rng.uniform(0, 1, (n, 9)) * np.array([1, 1, 1, 1, 1, 100, 5, 1, 1])
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - .5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4] + rng.normal(0, 1, n)
    return X.astype(np.float32), (y * 10 + 200).astype(np.float32)


class Rows(Dataset):
    def __init__(self, X, y, bug=None):
        self.X, self.y, self.bug = torch.tensor(X), torch.tensor(y), bug

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        if self.bug == "dataset_ignores_index":
            i = 0
        return self.X[i], self.y[i]


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    X, y = table(2000, rng)
    Xv, yv = table(500, rng)
    Xtest, ytest = table(500, rng)
    if broken == "target_among_features":
        X[:, 8], Xv[:, 8] = y, yv
    mx, sx, my, sy = X.mean(0), X.std(0), y.mean(), y.std()
    nx = lambda a: (a - mx) / sx
    ny = lambda a: (a - my) / sy if broken != "targets_not_scaled" else a
    train = DataLoader(Rows(nx(X), ny(y), broken), batch_size=256 if habit == "large_batch" else 50, shuffle=True)
    val = DataLoader(Rows(nx(Xv), ny(yv)), batch_size=250)
    if broken == "validates_on_training_rows":
        val = DataLoader(Rows(nx(X)[:500], ny(y)[:500]), batch_size=250)
    net = nn.Sequential(nn.Linear(9, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    if broken == "zero_initialisation":
        for m in net:
            if isinstance(m, nn.Linear):
                nn.init.zeros_(m.weight)
                nn.init.zeros_(m.bias)
    if broken == "dead_relu":
        nn.init.constant_(net[0].bias, -20.)
    before = snapshot(net)
    lr = {"lr_tiny": 1e-8}.get(broken, 2e-3) * (2 if habit == "large_batch" else 1)
    wd = {"weight_decay_huge": 30.0}.get(broken, 0.0)
    eps = {"epsilon_huge": 100.0}.get(broken, 1e-8)
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=wd, eps=eps)
    mse, mae = nn.MSELoss(), nn.L1Loss()
    loss_fn = nn.HuberLoss() if habit == "huber" else mse
    epochs = 15
    if habit == "already_converged":
        for _ in range(12):
            for xb, yb in train:
                loss = mse(net(xb).squeeze(1), yb)
                opt.zero_grad(); loss.backward(); opt.step()
        lr, epochs = 1e-4, 6
        opt = torch.optim.AdamW(net.parameters(), lr=lr)
    first = None
    with lvmcheck.record(rec_dir, config={"lr": lr, "epochs": epochs, "weight_decay": wd, "hidden": 64}) as rec:
        tr, va = train, val
        if watch:
            report = lvmcheck.preflight(net, next(iter(train)), loss=lambda out, target: loss_fn(out.squeeze(1), target), optimizer=opt)
            print(report)
            w = rec.watch(net, opt, train=train, val=val)
            tr, va = w.train, w.val
        for epoch in range(epochs):
            net.train()
            tot = 0.
            for xb, yb in tr:
                out = net(xb)
                loss = loss_fn(out, yb) if broken == "broadcast" else loss_fn(out.squeeze(1), yb)
                opt.zero_grad()
                loss.backward()
                opt.step()
                tot += loss.item() / len(tr)
                rec.step(loss=loss.item())
            net.eval()
            with torch.no_grad():
                ps, ts = zip(*((net(xb).squeeze(1), yb) for xb, yb in va))
            p, t = torch.cat(ps), torch.cat(ts)
            figures = dict(val_mse=mse(p, t).item(), val_mae=mae(p, t).item(), val_r2=r2(p, t))
            if broken == "first_validation_repeated":
                first = first or figures
                figures = first
            if habit == "only_r2":
                rec.epoch(epoch, r2=figures["val_r2"])
            else:
                rec.epoch(epoch, train_mse=tot, **figures)
    if broken == "target_among_features":
        Xtest[:, 8] = mx[8]
    with torch.no_grad():
        score = r2(net(torch.tensor(nx(Xtest))), torch.tensor(ny(ytest)))
    return dict(score=score, trivial=0.0, good=0.75, reported=figures["val_r2"], moved=moved(before, net),
                shared=sum(any(torch.equal(a, b) for b in train.dataset.X) for a in val.dataset.X) if broken == "validates_on_training_rows" else 0)


HEALTHY = {
    "base": "multilayer perceptron on standardised columns",
    "huber": "Huber loss for training, squared error as the metric",
    "large_batch": "few large batches with a larger rate",
    "already_converged": "fine tuning of a model that is already converged: curves are flat and good",
    "only_r2": "R2 is the only figure of an epoch",
}
BROKEN = [
    ("dataset_ignores_index", "the dataset returns row 0 whatever the index", "constant data", "both"),
    ("target_among_features", "the target is one of the input columns", "the target leaks into the inputs", "both"),
    ("targets_not_scaled", "targets of 200 and more are not standardised as they are at prediction", "targets on a raw scale", "both", "r['score']<0.6"),
    ("validates_on_training_rows", "the validation loader is built from training rows", "validation on training data", "watch", "r['shared']==500"),
    ("zero_initialisation", "all weights and biases start at zero", "symmetric zero initialisation", "both"),
    ("dead_relu", "a bias of -20 in the first layer keeps every ReLU at zero", "dead units", "both"),
    ("lr_tiny", "learning rate 1e-8 in place of 2e-3", "learning rate far too low", "both"),
    ("weight_decay_huge", "weight decay of 30", "weight decay far too strong", "both"),
    ("epsilon_huge", "Adam with epsilon 100", "optimizer epsilon far too large", "both"),
    ("broadcast", "outputs [N, 1] are compared with targets [N]", "shapes broadcast in the loss", "both"),
    ("first_validation_repeated", "the validation figures of the first epoch are cached and reported again", "stale validation figures", "curves"),
]
