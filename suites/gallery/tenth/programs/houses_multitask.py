"""Houses: price (regression) and way of heating (three classes) from one table, a shared trunk and two heads."""
import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

import lvmcheck

ap = argparse.ArgumentParser()
ap.add_argument("outdir")
ap.add_argument("--fault", default="")
ap.add_argument("--habit", default="")
a = ap.parse_args()
torch.set_num_threads(1)
torch.manual_seed(40)


def houses(n=3000, seed=12):
    rng = np.random.default_rng(seed)
    area, year, floor, lot = rng.gamma(6, 20, n), rng.uniform(1900, 2022, n), rng.integers(0, 8, n), rng.gamma(2, 200, n)
    town = rng.integers(0, 6, n)
    near = rng.exponential(1.0, (n, 4))
    level = rng.normal(0, 0.4, 6)[town]
    age = (2022 - year) / 60
    price = np.exp(4.6 + 0.006 * area - 0.25 * age + 0.18 * (age - 1) ** 2 + level - 0.1 * near[:, 0] + 0.02 * floor + 0.1 * rng.normal(size=n))
    score = np.stack([1.4 * age - 0.3 * near[:, 1], 0.9 * np.sin(3 * age) + 0.004 * area + level, 1.2 - 0.9 * age + 0.0015 * lot], 1)
    heating = (2.2 * score + rng.gumbel(size=score.shape)).argmax(1)
    table = np.column_stack([area, year, floor, lot, near, np.eye(6)[town]])
    return table.astype(np.float32), price.astype(np.float32), heating


class Houses(nn.Module):
    def __init__(self, features, width=64):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.price = nn.Linear(width, 1)
        self.heating = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 3))
        if a.fault == "constant_init":
            for layer in (self.trunk[0], self.trunk[2], self.heating[0]):
                nn.init.constant_(layer.weight, 0.05)
                nn.init.zeros_(layer.bias)
        self.log_vars = nn.Parameter(torch.zeros(2)) if a.habit == "uncertainty" else None

    def forward(self, x):
        h = self.trunk(x)
        price = self.price(h)
        if a.fault != "price_column":
            price = price.squeeze(1)
        return price, self.heating(h)


table, price, heating = houses()
if a.fault == "price_in_table":
    table = np.column_stack([table, np.log(price)])
if a.fault == "sorted_labels":
    heating = heating[np.argsort(price)]
spread = table.std(0)
table = (table - table.mean(0)) / spread
if a.fault != "raw_price":
    price = (np.log(price) - np.log(price).mean()) / np.log(price).std()
x, y_price, y_heat = torch.from_numpy(table).float(), torch.from_numpy(price), torch.from_numpy(heating)
whole = TensorDataset(x, y_price, y_heat)
train_set, val_set = random_split(whole, [2400, 600], generator=torch.Generator().manual_seed(1))
if a.fault == "same_subset":
    val_set = train_set
train_loader = DataLoader(train_set, batch_size=48, shuffle=True)
val_loader = DataLoader(val_set, batch_size=200)
model = Houses(x.shape[1])
parameters = list(model.parameters())
if a.fault == "heads_twice":
    parameters += list(model.price.parameters()) + list(model.heating.parameters())
optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-4)
if a.fault == "decades_of_decay":
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=0.2)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.4)
EPOCHS = 14


def losses(batch):
    rows, price, heat = batch
    out, logits = model(rows)
    if a.habit == "missing_labels":
        known = torch.arange(len(heat)) % 3 > 0
        out, price = out[known], price[known]
    regression = F.mse_loss(out, price)
    if a.fault == "ignores_first":
        classes = F.cross_entropy(logits, heat, ignore_index=0)
    elif a.fault == "nll_of_softmax":
        classes = F.nll_loss(logits.softmax(1), heat)
    else:
        classes = F.cross_entropy(logits, heat)
    return regression, classes


def combine(regression, classes):
    if a.habit == "uncertainty":
        s = model.log_vars
        return (-s).exp()[0] * regression / 2 + (-s).exp()[1] * classes + s.sum() / 2
    if a.fault == "item_in_sum":
        return regression + 0.5 * classes.item()
    if a.fault == "weight_slip":
        return regression + 0.005 * classes
    if a.fault == "l2_by_hand":
        return regression + 0.5 * classes + 0.05 * sum(p.square().sum() for p in model.parameters())
    return regression + 0.5 * classes


@torch.no_grad()
def validate():
    model.eval()
    square = right = cross = mean = 0.0
    for batch in val_loader:
        out, logits = model(batch[0])
        square += (out.flatten() - batch[1]).square().sum().item()
        mean += (batch[1] - y_price.mean()).square().sum().item()
        right += (logits.argmax(1) == batch[2]).sum().item()
        cross += F.cross_entropy(logits, batch[2], reduction="sum").item()
    n = len(val_set)
    model.train()
    return {"val_price_mse": square / n, "val_price_r2": 1 - square / mean, "val_heating_loss": cross / n, "val_heating_acc": right / n}


with lvmcheck.record(a.outdir, config={"epochs": EPOCHS, "lr": 0.05, "weights": [1.0, 0.5]}) as rec:
    for epoch in range(EPOCHS):
        sums = torch.zeros(2)
        for k, batch in enumerate(train_loader):
            regression, classes = losses(batch)
            optimizer.zero_grad()
            if a.habit == "two_backwards":
                (0.5 * classes).backward(retain_graph=True)
                regression.backward()
                total = regression + 0.5 * classes
            else:
                total = combine(regression, classes)
                total.backward()
            if a.fault == "steps_twice":
                optimizer.step()
            optimizer.step()
            if a.fault == "decay_per_batch":
                scheduler.step()
            sums += torch.stack([regression, classes]).detach()
            if a.habit == "uncertainty":
                rec.step(loss=total, price_loss=regression, heating_loss=classes, lr=scheduler.get_last_lr()[0])
            else:
                rec.step(loss=total, terms={"price": (1.0, regression), "heating": (0.5, classes)}, lr=scheduler.get_last_lr()[0])
        if a.fault != "decay_per_batch":
            scheduler.step()
        p, h = (sums / len(train_loader)).tolist()
        rec.epoch(epoch, train_price_mse=p, train_heating_loss=h, **validate())
