"""Breast cancer, an MLP with its own CSV log."""
import csv
import os
import torch
from torch import nn
from common import options, facts, real

TASK = "tabular binary classification"
RECORDER = False
FAULTS = {
    "raw_inputs": ("features are not standardised, plain SGD", ["inputs_not_normalised", "not_learning", "learning_rate_too_high", "diverging"], False),
    "evaluates_train": ("the validation function is given the training rows", ["validation_is_training"], False),
    "lr_ten": ("learning rate 30 with Adam", ["learning_rate_too_high", "diverging", "not_learning"], False),
    "labels_all_zero": ("labels are (target > 1), which is 0 everywhere", ["constant_targets", "class_imbalance", "label_leak", "target_leak"], False),
    "correct_not_reset": ("`correct` is not set back to 0 between epochs", ["numeric_range", "wrong_scale"], False),
    "y_sorted": ("X is shuffled before the split, y is not", ["label_mismatch", "memorisation", "overfitting", "not_learning"], False),
}
HABITS = {"": "25 epochs, CSV", "small_val": "24 validation rows: accuracy moves in steps", "full_batch": "300 full-batch epochs, logged each tenth"}


def main():
    o = options()
    torch.manual_seed(4)
    d = real()
    x, y = torch.from_numpy(d["cancer"]), torch.from_numpy(d["cancer_label"]).float()
    if o.fault == "labels_all_zero":
        y = (torch.from_numpy(d["cancer_label"]) > 1).float()
    perm = torch.randperm(len(x))
    x = x[perm]
    if o.fault != "y_sorted":
        y = y[perm]
    n = 545 if o.habit == "small_val" else 420
    if o.fault != "raw_inputs":
        x = (x - x[:n].mean(0)) / x[:n].std(0)
    tx, ty, vx, vy = x[:n], y[:n], x[n:], y[n:]
    if o.fault == "evaluates_train":
        vx, vy = tx, ty
    net = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
    if o.fault == "lr_ten":
        opt = torch.optim.Adam(net.parameters(), lr=30.)
    else:
        opt = torch.optim.SGD(net.parameters(), lr=.02, momentum=.9)
    bce = nn.BCEWithLogitsLoss()
    epochs = 300 if o.habit == "full_batch" else 25
    os.makedirs(o.out, exist_ok=True)
    correct = 0
    with open(os.path.join(o.out, "log.csv"), "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["epoch", "train_loss", "train_acc", "val_loss", "val_acc"])
        for epoch in range(1, epochs + 1):
            net.train()
            loss_sum, hits = 0., 0
            for rows in torch.randperm(n).split(n if o.habit == "full_batch" else 32):
                z = net(tx[rows]).squeeze(1)
                loss = bce(z, ty[rows])
                opt.zero_grad()
                loss.backward()
                opt.step()
                loss_sum += loss.item() * len(rows)
                hits += ((z > 0) == (ty[rows] > .5)).sum().item()
            net.eval()
            if o.fault != "correct_not_reset":
                correct = 0
            with torch.no_grad():
                # the loss over the training rows once more, so that both lines are comparable
                if o.fault == "evaluates_train":
                    z = net(tx).squeeze(1)
                    loss_sum, hits = bce(z, ty).item() * n, ((z > 0) == (ty > .5)).sum().item()
                z = net(vx).squeeze(1)
                vl = bce(z, vy).item()
                correct += ((z > 0) == (vy > .5)).sum().item()
            if o.habit != "full_batch" or epoch % 10 == 0:
                w.writerow([epoch, f"{loss_sum / n:.5f}", f"{hits / n:.4f}", f"{vl:.5f}", f"{correct / len(vy):.4f}"])
    facts(score=((z > 0) == (vy > .5)).float().mean(), trivial=max(vy.mean(), 1 - vy.mean()), vl=vl)


if __name__ == "__main__":
    main()
