"""Find the two ends of a stick in an image: keypoint regression with gradient accumulation."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(27)
S = 16


def sticks(n, noise):
    p = torch.rand(n, 2, 2) * 12 + 2
    p = torch.where((p[:, :1, 0] > p[:, 1:, 0])[..., None], p.flip(1), p)  # left end first
    t = torch.linspace(0, 1, 12)[None, :, None]
    line = p[:, :1] * (1 - t) + p[:, 1:] * t
    yy, xx = torch.meshgrid(torch.arange(S).float(), torch.arange(S).float(), indexing="ij")
    d = (xx[None, None] - line[..., 0, None, None]) ** 2 + (yy[None, None] - line[..., 1, None, None]) ** 2
    img = torch.exp(-d.amin(1) / 1.5) + noise * torch.randn(n, S, S)
    return img[:, None], p.flatten(1)


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(),
                                  nn.MaxPool2d(2))
        self.fc = nn.Sequential(nn.Flatten(), nn.Linear(24 * 16, 64), nn.ReLU(), nn.Linear(64, 4))

    def forward(self, x):
        z = self.fc(self.conv(x))
        return torch.tanh(z) if o.fault == "tanh_for_pixels" else z


x, p = sticks(1200, 0.35 if o.habit == "noisy_images" else 0.15)
target = p / S
if o.fault == "tanh_for_pixels":
    target = p
train_x, train_t, val_x, val_t = x[:1000], target[:1000], x[1000:], target[1000:]
if o.fault == "xy_swapped_in_validation":
    val_t = val_t[:, [1, 0, 3, 2]]
if o.fault == "annotations_one_row_late":
    train_t = train_t.roll(1, 0)
loader = DataLoader(TensorDataset(train_x, train_t), batch_size=16, shuffle=True, drop_last=True)
ACC = 1 if o.habit == "small_batches" else 2
model = Regressor()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
criterion = nn.SmoothL1Loss(beta=0.05)
if o.fault == "dead_start":
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(m.weight, std=0.001)
            nn.init.zeros_(m.bias)


def pck(pred, truth):
    d = (pred - truth).view(-1, 2, 2).norm(dim=2) * (1 if o.fault == "tanh_for_pixels" else S)
    return (d < 1.5).float().mean()


@torch.no_grad()
def validate():
    model.eval()
    out = model(val_x)
    model.train()
    return criterion(out, val_t), pck(out, val_t)


with lvmcheck.record(o.out, config={"epochs": 7, "accumulation": ACC, "loss": "smooth_l1"}) as rec:
    if o.watch:
        rec.watch(model, optimizer)
    for epoch in range(7):
        total = 0.0
        for k, (xb, tb) in enumerate(loader, 1):
            if o.fault == "flip_without_coordinates" and torch.rand(1) < 0.5:
                xb = xb.flip(-1)
            loss = criterion(model(xb), tb)
            (loss / ACC).backward()
            total += loss.item()
            if k % ACC == 0:
                optimizer.step()
                if o.fault != "accumulates_for_ever":
                    optimizer.zero_grad()
                rec.step(loss=loss)
        vl, score = validate()
        rec.epoch(epoch, train_loss=total / k, val_loss=vl, val_pck=score)
