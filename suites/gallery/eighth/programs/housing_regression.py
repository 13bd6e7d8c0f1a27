"""Prices of flats from twelve columns. Flat script, numpy for the table, torch for the net."""
import numpy as np
import torch

import lvmcheck
from common import options

o = options()
np.random.seed(5)
torch.manual_seed(5)

# ---- the table -------------------------------------------------------------------------------------------------------
N = 1800
region = np.random.randint(0, 6, N)
area = np.exp(np.random.normal(4.2, 0.4, N))
rooms = np.clip(np.round(area / 25 + np.random.normal(0, 0.7, N)), 1, 9)
age = np.random.gamma(2.0, 18.0, N)
income = np.random.lognormal(10.6, 0.35, N) * (1 + 0.08 * region)
distance = np.random.gamma(2.0, 3.0, N)
floor = np.random.randint(0, 12, N)
crime = np.random.beta(2, 8, N)
schools = np.random.normal(0, 1, N) + 0.3 * region
heating = np.random.randint(0, 3, N)
noise1, noise2 = np.random.normal(0, 1, N), np.random.normal(0, 1, N)
price = 1400 * area * (1 + 0.09 * region) * np.exp(-0.03 * distance) * (1 - 0.5 * crime)
price += 0.35 * income + 9000 * schools - 350 * age * (heating == 0) + 2500 * rooms * (region > 3)
price = price * np.exp(np.random.normal(0, 0.14, N))
table = np.stack([region, area, rooms, age, income, distance, floor, crime, schools, heating, noise1, noise2], 1)

order = np.random.permutation(N)
if o.fault == "region_scaler":  # rows of the two dearest regions are held out
    order = np.concatenate([order[region[order] < 4], order[region[order] >= 4]])
train, val = order[:1400], order[1400:]
mean, std = table[train].mean(0), table[train].std(0)
if o.fault == "income_unscaled":
    mean[4], std[4] = 0.0, 1.0
X, Xv = (table[train] - mean) / std, (table[val] - mean) / std
if o.fault == "region_scaler":
    Xv = (table[val] - table[val].mean(0)) / table[val].std(0)
if o.fault == "val_columns_sorted":  # the validation file was written by a tool that sorts its columns
    names = "region area rooms age income distance floor crime schools heating noise1 noise2".split()
    Xv = Xv[:, np.argsort(names)]
t_mean, t_std = price[train].mean(), price[train].std()
if o.habit == "thousands":  # plain thousands, neither centred nor scaled: the loss begins at 30,000
    t_mean, t_std = 0.0, 1000.0
X, Xv = torch.tensor(X, dtype=torch.float32), torch.tensor(Xv, dtype=torch.float32)
y = torch.tensor((price[train] - t_mean) / t_std, dtype=torch.float32)
yv = torch.tensor((price[val] - t_mean) / t_std, dtype=torch.float32)


# ---- the model -------------------------------------------------------------------------------------------------------
class SignMomentum(torch.optim.Optimizer):
    """The sign of a mix of gradient and momentum (Lion)."""

    def __init__(self, params, lr, beta1=0.9, beta2=0.99, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_((group["beta1"] * m + (1 - group["beta1"]) * p.grad).sign(), alpha=group["lr"])
                m.mul_(group["beta2"]).add_(p.grad, alpha=1 - group["beta2"])


outputs = 2 if o.habit == "gaussian_nll" else 1
net = torch.nn.Sequential(
    torch.nn.Linear(12, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, outputs)
)
LR, EPOCHS, BATCH = 2e-3, 12, 35
if o.habit == "sign_momentum":
    LR = 4e-4
    opt = SignMomentum(net.parameters(), lr=LR, weight_decay=0.1)
elif o.habit == "thousands":
    LR, EPOCHS = 5e-3, 16
    opt = torch.optim.Adam(net.parameters(), lr=LR)
elif o.fault == "weight_decay":
    opt = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=0.3)
elif o.fault == "no_zero_grad":
    LR = 0.02
    opt = torch.optim.SGD(net.parameters(), lr=LR)
else:
    opt = torch.optim.Adam(net.parameters(), lr=LR)


def criterion(out, target):
    if o.habit == "gaussian_nll":
        return torch.nn.functional.gaussian_nll_loss(out[:, 0], target, out[:, 1].exp().clamp(min=1e-4))
    if o.fault == "broadcast":
        return ((out - target) ** 2).mean()
    return ((out.squeeze(1) - target) ** 2).mean()


# ---- training --------------------------------------------------------------------------------------------------------
with lvmcheck.record(o.out, config={"epochs": EPOCHS, "lr": LR, "batch": BATCH}, **o.record) as rec:
    for epoch in range(1, EPOCHS + 1):
        perm = torch.randperm(len(X))
        losses = []
        for k in range(0, len(X), BATCH):
            rows = perm[k : k + BATCH]
            loss = criterion(net(X[rows]), y[rows])
            if o.fault != "no_zero_grad":
                opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
            rec.step(loss=loss.item())
        with torch.no_grad():
            net.eval()
            out = net(Xv)
            val_loss = criterion(out, yv).item()
            mae = (out[:, 0] - yv).abs().mean().item() * t_std / 1000
            r2 = 1 - ((out[:, 0] - yv) ** 2).mean().item() / yv.var().item()
            net.train()
        rec.epoch(epoch, train_loss=float(np.mean(losses)), val_loss=val_loss, val_mAE=mae, val_r2=r2)
        print(f"{epoch:3d}  train {np.mean(losses):.4f}  val {val_loss:.4f}  mAE {mae:.1f}k  R2 {r2:.3f}")
