"""Rare fraud in a table: 4 percent positives, weighted BCE, ranked metrics."""
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
import lvmcheck

TASK = "tabular binary with imbalance"


def auc(s, y):
    s, y = s.numpy(), y.numpy()
    r = np.empty(len(s)); r[np.argsort(s, kind="stable")] = np.arange(1, len(s) + 1)
    if np.ptp(s) == 0 or not np.isfinite(s).all():
        return 0.5
    p = y.sum()
    return float((r[y == 1].sum() - p * (p + 1) / 2) / (p * (len(y) - p)))


def ap(s, y):
    o = y[torch.argsort(s, descending=True, stable=True)]
    prec = o.cumsum(0) / torch.arange(1, len(o) + 1)
    return float((prec * o).sum() / o.sum())


def data(n, seed):
    g = np.random.default_rng(seed)
    x = g.normal(0, 1, (n, 20))
    z = 1.5 * x[:, 0] - x[:, 1] + 1.5 * x[:, 2] * x[:, 3] + 0.8 * np.abs(x[:, 4]) - 6.2
    y = g.uniform(size=n) < 1 / (1 + np.exp(-z))
    x[g.uniform(size=x.shape) < .03] = np.nan
    return x, y.astype(np.float32)


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(11)
    x, y = data(9000, 1)
    if broken == "oversampled_before_split":
        pos = np.flatnonzero(y == 1)
        extra = np.random.default_rng(0).choice(pos, 5000)
        x, y = np.concatenate([x, x[extra]]), np.concatenate([y, y[extra]])
    perm = np.random.default_rng(2).permutation(len(x))
    x, y = x[perm], y[perm]
    cut = int(.75 * len(x))
    if broken == "sorted_by_label":
        o = np.argsort(y[:cut], kind="stable")
        x[:cut], y[:cut] = x[:cut][o], y[:cut][o]
    fill = np.nanmean(x[:cut], 0)
    if broken == "missing_values_kept":
        x_ = torch.tensor(x, dtype=torch.float32)
    else:
        x_ = torch.tensor(np.where(np.isnan(x), fill, x), dtype=torch.float32)
    y_ = torch.tensor(y)
    tx, ty, vx, vy = x_[:cut], y_[:cut], x_[cut:], y_[cut:]
    if broken == "val_rows_misaligned":
        vy = torch.roll(vy, 1)
    tt, tl = data(4000, 9)
    tt, tl = torch.tensor(np.where(np.isnan(tt), fill, tt), dtype=torch.float32), torch.tensor(tl)
    drop = .5 if habit == "strong_dropout" else .1
    model = nn.Sequential(nn.Linear(20, 96), nn.GELU(), nn.Dropout(drop), nn.Linear(96, 96), nn.GELU(), nn.Dropout(drop), nn.Linear(96, 1), nn.Flatten(0))
    ratio = float((ty == 0).sum() / (ty == 1).sum())
    pw = {"weight_upside_down": 1 / ratio ** 2}.get(broken, ratio)
    if habit in ("weighted_sampler", "focal_loss"):
        pw = 1.0
    ds = TensorDataset(tx, ty)
    if habit == "weighted_sampler":
        dl = DataLoader(ds, 128, sampler=WeightedRandomSampler(torch.where(ty == 1, ratio, 1.), len(ds), replacement=True))
    else:
        dl = DataLoader(ds, 128, shuffle=broken != "sorted_by_label")
    vdl = DataLoader(TensorDataset(vx, vy), 512)
    opt = torch.optim.Adam(model.parameters(), lr=1e-3, amsgrad=True)
    if broken == "momentum_too_high":
        opt = torch.optim.SGD(model.parameters(), lr=.3, momentum=.9999)
    E = 9
    low = 9.
    train_rows = {r.tobytes() for r in tx.numpy()}
    shared = sum(r.tobytes() in train_rows for r in vx.numpy())
    with lvmcheck.record(rec_dir, config={"epochs": E, "lr": 1e-3, "pos_weight": pw}) as rec:
        if watch:
            ww = rec.watch(model, opt, train=dl, val=vdl)
            dl, vdl = ww.train, ww.val
        for ep in range(1, E + 1):
            model.train(); c = 0.
            for a, b in dl:
                logit = model(a)
                w = torch.where(b == 1, pw, 1.)
                if broken == "rounded_outputs":
                    loss = (w * (logit.sigmoid().round() - b).abs()).mean() + 0 * logit.sum()
                elif broken == "sigmoid_then_logits":
                    loss = F.binary_cross_entropy_with_logits(torch.sigmoid(logit), b, weight=w)
                elif habit == "focal_loss":
                    q = torch.sigmoid(logit); pt = torch.where(b == 1, q, 1 - q)
                    loss = (torch.where(b == 1, .75, .25) * (1 - pt) ** 2 * F.binary_cross_entropy_with_logits(logit, b, reduction="none")).mean()
                else:
                    loss = F.binary_cross_entropy_with_logits(logit, b, weight=w)
                opt.zero_grad()
                loss.backward()
                opt.step()
                c += loss.item(); low = min(low, loss.item())
                rec.step(loss=loss, samples=len(a))
            model.eval()
            with torch.no_grad():
                sc = torch.cat([model(a) for a, _ in vdl]); lab = torch.cat([b for _, b in vdl])
            if broken == "recall_of_hard_zeros":
                sc_metric = torch.zeros_like(sc)
            else:
                sc_metric = sc
            vloss = F.binary_cross_entropy_with_logits(sc, lab, weight=torch.where(lab == 1, pw, 1.))
            a1 = auc(sc_metric, lab)
            hit = sc_metric > 0
            rec.epoch(ep, train_loss=c / len(dl), val_loss=vloss, auroc=100 * a1 if habit == "percent" else a1, auprc=ap(sc_metric, lab),
                      recall=(hit & (lab == 1)).sum() / lab.sum())
    model.eval()
    with torch.no_grad():
        s = auc(model(tt), tl)
    return dict(score=s, trivial=.5, good=.8, reported=a1, label_changes=int((ty[1:] != ty[:-1]).sum()), lowest=low, shared=shared)


HEALTHY = {
    "base": "four percent positives, the loss weights them",
    "focal_loss": "focal loss, whose values are tiny",
    "weighted_sampler": "sampling with replacement balances the classes",
    "strong_dropout": "dropout of a half makes training look worse than validation",
    "percent": "the area under the curve is logged in percent",
}
BROKEN = [
    ("oversampled_before_split", "positives are duplicated before the split, so validation holds copies of training rows", "duplicates across the split", "watch", "r['shared']>100"),
    ("sorted_by_label", "the rows are sorted by label and not shuffled", "training data in label order", "watch", "r['label_changes']==1"),
    ("missing_values_kept", "missing values are not filled", "NaN in the inputs", "both"),
    ("val_rows_misaligned", "validation labels are shifted by one row", "validation labels off by one", "both"),
    ("weight_upside_down", "the class weight is one over the ratio, squared", "class weight inverted", "curves"),
    ("momentum_too_high", "SGD with momentum 0.9999 and rate 0.3", "momentum too high", "both"),
    ("rounded_outputs", "the loss is taken on rounded probabilities", "an operation without gradient in the loss", "both"),
    ("sigmoid_then_logits", "sigmoid before the loss that contains one", "sigmoid twice", "both", "r['lowest']>0.5"),
    ("recall_of_hard_zeros", "metrics are computed on a buffer of zeros that is never filled", "metric of predictions that never change", "both"),
]
