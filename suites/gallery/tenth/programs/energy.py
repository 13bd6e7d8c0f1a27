"""Hourly energy use of buildings: standardised targets, plateau schedule, early stopping, MAE and R2 in kWh."""
import argparse
import copy
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

COLUMNS = ["hour_sin", "hour_cos", "day_of_week", "outdoor", "humidity", "area", "people", "age", "insulation", "glazing"]


def readings(n, generator, noise, fault):
    u = lambda low, high: low + (high - low) * torch.rand(n, generator=generator)
    hour, day = torch.randint(24, (n,), generator=generator), torch.randint(7, (n,), generator=generator)
    season = u(0, 1)
    outdoor = 11 + 11 * torch.sin(2 * math.pi * season) + 4 * torch.sin(2 * math.pi * (hour - 9) / 24) + 2 * torch.randn(n, generator=generator)
    area, age, insulation, glazing, humidity = u(300, 4000), u(0, 90), u(0.2, 1.0), u(0.05, 0.6), u(25, 95)
    office = ((hour > 7) & (hour < 19) & (day < 5)).float()
    people = torch.poisson(area / 25 * (0.05 + 0.8 * office), generator=generator)
    heating = (17 - outdoor).clamp(min=0) * area * (1.25 - insulation) * (1 + age / 150) / 170
    cooling = (outdoor - 21).clamp(min=0) * area * glazing * (0.8 + humidity / 150) / 60
    kwh = 12 + 0.018 * area + 0.9 * people + heating + cooling + 14 * noise * torch.randn(n, generator=generator)
    kwh = kwh.clamp(min=0)
    phase = 2 * math.pi * hour / 24
    if fault == "degrees_truncated":
        outdoor = torch.div(outdoor, 100, rounding_mode="trunc")
    rows = torch.stack([phase.sin(), phase.cos(), day.float(), outdoor, humidity, area, people, age, insulation, glazing], 1)
    if fault == "cost_column":
        rows = torch.cat([rows, (kwh * 0.31 + 4.2)[:, None]], 1)
    return rows, kwh


class Scaler:
    def __init__(self, values):
        self.mean, self.std = values.mean(0), values.std(0).clamp(min=1e-6)

    def __call__(self, values):
        return (values - self.mean) / self.std

    def back(self, values):
        return values * self.std + self.mean


class Regressor(nn.Module):
    def __init__(self, columns, hidden=48, fault=None):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(columns, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, hidden), nn.ReLU())
        self.out, self.fault = nn.Linear(hidden, 1), fault

    def forward(self, rows):
        out = self.out(self.layers(rows))
        if self.fault == "relu_last":
            out = out.relu()
        return out if self.fault == "column_of_outputs" else out.squeeze(-1)


class Stopper:
    def __init__(self, patience, fault):
        self.patience, self.fault, self.best, self.bad, self.state = patience, fault, None, 0, None

    def __call__(self, value, model):
        better = self.best is None or (value > self.best if self.fault == "stops_on_better" else value < self.best)
        if better:
            self.best, self.bad = value, 0
            self.state = model.state_dict() if self.fault == "best_not_copied" else copy.deepcopy(model.state_dict())
        else:
            self.bad += 1
        return self.bad >= self.patience


@torch.no_grad()
def evaluate(model, loader, criterion, scaler, fault):
    if fault != "mode_untouched":
        model.eval()
    outputs, targets = [], []
    for rows, y in loader:
        outputs.append(model(rows))
        targets.append(y)
    out, y = torch.cat(outputs), torch.cat(targets)
    loss = criterion(out, y).item()
    out, y = out.flatten().double(), y.double()
    kwh, true = scaler.back(out), scaler.back(y)
    if fault == "mean_not_added":
        kwh = out * scaler.std
    mae = (kwh - true).abs().mean().item()
    r2 = 1 - ((kwh - true).square().sum() / (true - true.mean()).square().sum()).item()
    model.train()
    return loss, mae, r2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("outdir")
    parser.add_argument("--fault")
    parser.add_argument("--habit")
    args = parser.parse_args()
    fault, habit = args.fault, args.habit
    torch.set_num_threads(1)
    torch.manual_seed(21)
    generator = torch.Generator().manual_seed(8)
    noise = 7.0 if habit == "noisy_meter" else 1.0
    rows, kwh = readings(2300, generator, noise, fault)
    if fault == "log_of_zero":
        kwh = ((kwh - 25).clamp(min=0)).log()
    order = torch.randperm(len(rows), generator=generator)
    first, last = order[:1800], order[1800:]
    columns, target = Scaler(rows[first]), Scaler(kwh[first])
    if fault == "target_in_kwh":
        target.mean, target.std = torch.tensor(0.0), torch.tensor(1.0)
    x, y = columns(rows[first]), target(kwh[first])
    if fault == "sorted_by_temperature":
        x = x[x[:, 3].argsort()]
    val_x, val_y = columns(rows[last]), target(kwh[last])
    if habit == "double":
        x, y, val_x, val_y = x.double(), y.double(), val_x.double(), val_y.double()
    train = DataLoader(TensorDataset(x, y), 50, shuffle=True)
    val = DataLoader(TensorDataset(val_x, val_y), 256)

    model = Regressor(x.shape[1], fault=fault)
    if habit == "double":
        model = model.double()
    lr, epochs, decay = 3e-3, 14, 0.0
    if fault == "decay_of_a_paper":
        decay = 1.0
    if fault == "rate_of_sgd":
        lr = 0.5
    make = lambda: torch.optim.Adam(model.parameters(), lr, weight_decay=decay)
    optimizer = make()
    mode = "max" if fault == "plateau_of_a_maximum" else "min"
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.3, patience=2)
    criterion = nn.MSELoss(reduction="sum" if fault == "summed" else "mean")
    if habit == "huber":
        criterion = nn.SmoothL1Loss(beta=0.2)
    patience = 3 if fault == "stops_on_better" or habit == "stops_early" else 8
    if habit == "stops_early":
        epochs = 60
    stopper = Stopper(patience, fault)
    config = {"lr": lr, "epochs": epochs, "batch_size": 64, "early_stop": patience}

    with lvmcheck.record(args.outdir, config=config, seed=21) as rec:
        for epoch in range(1, epochs + 1):
            model.train()
            if fault == "optimizer_each_epoch":
                optimizer = make()
            total = n = 0
            for rows, targets in train:
                if fault != "gradients_kept":
                    optimizer.zero_grad()
                out = model(rows)
                if fault == "through_a_list":
                    out = torch.tensor(out.tolist(), requires_grad=True)
                loss = criterion(out, targets)
                loss.backward()
                optimizer.step()
                if fault == "plateau_each_step":
                    plateau.step(loss.item())
                total, n = total + loss.item(), n + 1
                rec.step(loss=loss, lr=optimizer.param_groups[0]["lr"])
            val_loss, mae, r2 = evaluate(model, val, criterion, target, fault)
            rec.epoch(epoch, train_loss=total / n, val_loss=val_loss, val_mae_kwh=mae, val_r2=r2)
            if fault != "plateau_each_step":
                plateau.step(val_loss)
            if stopper(val_loss, model):
                rec.early(f"no better for {patience} epochs")
                break
        model.load_state_dict(stopper.state)
        loss, mae, r2 = evaluate(model, val, criterion, target, fault)
        rec.evaluation("best", {"val_loss": loss, "val_mae_kwh": mae, "val_r2": r2})


if __name__ == "__main__":
    main()
