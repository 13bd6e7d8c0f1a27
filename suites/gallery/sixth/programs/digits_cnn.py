"""Handwritten digits with a small convolutional net, batch norm, dropout and shifts."""
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
import lvmcheck
from common import options, facts, real

TASK = "image classification (CNN)"
FAULTS = {
    "zero_grad_missing": ("zero_grad was forgotten, SGD with momentum", ["gradients_not_cleared", "diverging", "learning_rate_too_high"], True),
    "eval_mode_missing": ("validation runs in train mode (dropout, batch statistics)", ["dropout_in_eval", "eval_missing"], True),
    "train_mode_missing": ("model.eval() before the loop, train() never again", ["train_missing"], True),
    "augment_mixes_rows": ("the augmentation returns the images of the batch in another order", ["label_mismatch", "not_learning", "label_noise"], False),
    "val_unscaled": ("validation images are not divided by 16", ["validation_transformed", "validation_differs"], True),
    "seed_in_augment": ("torch.manual_seed(0) inside of the augmentation", ["augmentation_frozen", "one_batch_repeated"], True),
}
HABITS = {"": "7 epochs with shifts", "smooth_mixup": "label smoothing 0.1 and mixup: training loss above validation loss",
          "every_third_percent": "validation each third epoch, accuracy in percent", "tiny_overfit": "48 images by design, no augmentation"}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2))
        self.drop = nn.Dropout(.4)
        self.fc = nn.Linear(32 * 16, 10)

    def forward(self, x):
        return self.fc(self.drop(self.conv(x).flatten(1)))


def augment(x, fault):
    if fault == "seed_in_augment":
        torch.manual_seed(0)
    if fault == "augment_mixes_rows":
        x = x[torch.randperm(len(x))]
    dx, dy = torch.randint(-1, 2, (2,)).tolist()
    return torch.roll(x, (dx, dy), (2, 3)) + .05 * torch.randn_like(x)


def evaluate(model, loader, fault):
    if fault != "eval_mode_missing":
        model.eval()
    total, correct, n = 0., 0, 0
    with torch.no_grad():
        for x, y in loader:
            out = model(x)
            total += F.cross_entropy(out, y, reduction="sum").item()
            correct += (out.argmax(1) == y).sum().item()
            n += len(y)
    if fault != "train_mode_missing":
        model.train()
    return total / n, correct / n


def main():
    o = options()
    torch.manual_seed(1)
    d = real()
    x = torch.from_numpy(d["digits"]).float().view(-1, 1, 8, 8)
    y = torch.from_numpy(d["digit_label"]).long()
    perm = torch.randperm(len(x))
    x, y = x[perm], y[perm]
    tx, ty, vx, vy = x[:1400] / 16, y[:1400], x[1400:], y[1400:]
    if o.fault != "val_unscaled":
        vx = vx / 16
    if o.habit == "tiny_overfit":
        tx, ty = tx[:48], ty[:48]
    train = DataLoader(TensorDataset(tx, ty), batch_size=32, shuffle=True)
    val = DataLoader(TensorDataset(vx, vy), batch_size=100)
    model = Net()
    if o.fault == "train_mode_missing":
        model.eval()
    opt = torch.optim.SGD(model.parameters(), lr=.02, momentum=.9)
    epochs = 30 if o.habit == "tiny_overfit" else 7
    with lvmcheck.record(o.out, config={"epochs": epochs, "lr": .02, "batch_size": 32}) as rec:
        if o.watch:
            rec.watch(model, opt, train=train, val=val)
        for epoch in range(1, epochs + 1):
            for bx, by in train:
                if o.habit != "tiny_overfit":
                    bx = augment(bx, o.fault)
                if o.habit == "smooth_mixup":
                    lam, p = float(torch.distributions.Beta(.4, .4).sample()), torch.randperm(len(bx))
                    out = model(lam * bx + (1 - lam) * bx[p])
                    loss = lam * F.cross_entropy(out, by, label_smoothing=.1) + (1 - lam) * F.cross_entropy(out, by[p], label_smoothing=.1)
                else:
                    loss = F.cross_entropy(model(bx), by)
                if o.fault != "zero_grad_missing":
                    opt.zero_grad()
                loss.backward()
                opt.step()
                rec.step(loss=loss.detach(), lr=.02)
            if o.habit == "every_third_percent" and epoch % 3:
                rec.epoch(epoch)
                continue
            vl, va = evaluate(model, val, o.fault)
            rec.epoch(epoch, val_loss=vl, val_accuracy=va * (100 if o.habit == "every_third_percent" else 1))
    facts(score=va, trivial=.1, val_loss=vl)


if __name__ == "__main__":
    main()
