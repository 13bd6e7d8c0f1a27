"""Fine-tune a small pretrained texture network on six new classes, backbone frozen."""
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck
from common import options

torch.set_num_threads(1)
torch.manual_seed(7)
o = options()

EPOCHS, LR, BATCH = 10, 4e-3, 32
SIDE = 16


def textures(n, kinds, weights=None, noise=0.9):
    """Gratings of a given orientation and frequency, random phase and contrast, as grey values 0..255."""
    weights = torch.ones(len(kinds)) if weights is None else weights
    y = torch.multinomial(weights, n, replacement=True)
    angle, freq = kinds[y, 0, None, None], kinds[y, 1, None, None]
    angle = angle + 0.15 * torch.randn(n, 1, 1)
    row, col = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    phase = 2 * math.pi * torch.rand(n, 1, 1)
    wave = torch.sin(2 * math.pi * freq / SIDE * (row * torch.sin(angle) + col * torch.cos(angle)) + phase)
    wave = wave * (0.6 + 0.6 * torch.rand(n, 1, 1)) + noise * torch.randn(n, SIDE, SIDE)
    return (wave * 40 + 120).clamp(0, 255).unsqueeze(1), y


def block(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.backbone = nn.Sequential(block(1, 16), block(16, 32), block(32, 48))
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(48, classes))

    def forward(self, x):
        return self.head(self.backbone(x).mean((2, 3)))


def normalise(x):
    return (x - 120.0) / 48.0


# ---- "download" the pretrained network: twelve textures of another collection
source = torch.tensor([[a * math.pi / 4, f] for a in range(4) for f in (2.0, 3.5, 5.5)])
net = Net(12)
file = pathlib.Path(__file__).with_name("textures12.pt")
if not file.exists():
    xs, ys = textures(1600, source)
    opt = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(5):
        for rows in torch.randperm(len(xs)).split(64):
            opt.zero_grad()
            F.cross_entropy(net(normalise(xs[rows])), ys[rows]).backward()
            opt.step()
    torch.save(net.state_dict(), file)
net.load_state_dict(torch.load(file))
torch.manual_seed(17)

# ---- new task
kinds = torch.tensor([[0.15, 2.6], [0.55, 2.9], [1.0, 3.2], [1.5, 2.8], [2.1, 4.2], [2.6, 3.0]])
share = torch.tensor([3.0, 2.0, 2.0, 1.5, 1.0, 0.6])
total, hold = (200, 120) if o.habit == "small_noisy" else (480, 200)
x, y = textures(total + hold, kinds, share, noise=1.5)
if o.habit == "small_noisy":
    wrong = torch.rand(len(y)) < 0.15
    y = torch.where(wrong, torch.randint(6, y.shape), y)
if o.fault == "oversample_leak":
    # balance the classes, then split
    biggest = int(y.bincount().max())
    rows = torch.cat([torch.where(y == c)[0][torch.randint(int((y == c).sum()), (biggest,))] for c in range(6)])
    rows = rows[torch.randperm(len(rows))]
    x, y = x[rows], y[rows]
x_train, y_train, x_val, y_val = x[hold:], y[hold:], x[:hold], y[:hold]
if o.fault == "sorted":
    order = y_train.argsort()
    x_train, y_train = x_train[order], y_train[order]
train_loader = DataLoader(TensorDataset(normalise(x_train), y_train), batch_size=BATCH, shuffle=o.fault != "sorted")
if o.fault == "val_raw":
    val_loader = DataLoader(TensorDataset(x_val / 255.0, y_val), batch_size=100)
else:
    val_loader = DataLoader(TensorDataset(normalise(x_val), y_val), batch_size=100)

for p in net.backbone.parameters():
    p.requires_grad_(False)
if o.fault == "stale_optimizer":
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=LR)
    net.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(48, 6))
else:
    net.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(48, 6))
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=LR)
weight = None
if o.habit == "class_weights":
    count = y_train.bincount(minlength=6).float()
    weight = count.sum() / (6 * count)

with lvmcheck.record(o.out, config={"epochs": EPOCHS, "lr": LR, "batch_size": BATCH, "freeze": "backbone"}, **o.extra) as rec:
    for epoch in range(1, EPOCHS + 1):
        net.train()
        net.backbone.eval()
        if epoch == 5 and (o.fault == "late_unfreeze" or o.habit == "gradual_unfreeze"):
            for p in net.backbone[2].parameters():
                p.requires_grad_(True)
            if o.habit == "gradual_unfreeze":
                optimizer.add_param_group({"params": list(net.backbone[2].parameters()), "lr": LR / 10})
        train_loss = seen = 0
        for xb, yb in train_loader:
            loss = F.cross_entropy(net(xb), yb, weight=weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            train_loss += loss.item() * len(xb)
            seen += len(xb)
            rec.step(loss=loss.item())
        if o.fault != "eval_forgotten":
            net.eval()
        else:
            net.train()
        val_loss = correct = 0
        with torch.no_grad():
            for xb, yb in val_loader:
                out = net(xb)
                val_loss += F.cross_entropy(out, yb, reduction="sum").item()
                correct += (out.argmax(1) == yb).sum().item()
        rec.epoch(epoch, train_loss=train_loss / seen, val_loss=val_loss / len(y_val), val_acc=correct / len(y_val))
