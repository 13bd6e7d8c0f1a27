"""Segment bright ellipses among clutter with a very small U-Net."""
import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(8)


def scenes(n, s=16):
    yy, xx = torch.meshgrid(torch.arange(s).float(), torch.arange(s).float(), indexing="ij")
    mask = torch.zeros(n, s, s, dtype=torch.bool)
    for _ in range(2):
        c, r = torch.rand(n, 2, 1, 1) * 12 + 2, torch.rand(n, 2, 1, 1) * 2.5 + 1
        mask |= ((yy - c[:, 0]) / r[:, 0]) ** 2 + ((xx - c[:, 1]) / r[:, 1]) ** 2 < 1
    light = torch.linspace(-0.5, 0.5, s) * torch.randn(n, 1, 1)
    img = mask * 0.9 + light + 0.45 * torch.randn(n, s, s)
    return img[:, None], mask[:, None].float()


def block(i, k):
    return nn.Sequential(nn.Conv2d(i, k, 3, padding=1), nn.BatchNorm2d(k), nn.ReLU())


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = block(1, 8), block(8, 16)
        self.drop = nn.Dropout2d(0.1)
        self.up = block(24, 8)
        self.last = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.drop(self.down2(F.max_pool2d(a, 2)))
        return self.last(self.up(torch.cat([a, F.interpolate(b, scale_factor=2)], 1)))


def dice_loss(z, m):
    p = z if o.fault == "dice_of_logits" else torch.sigmoid(z)
    inter = (p * m).sum((1, 2, 3))
    return (1 - (2 * inter + 1) / (p.sum((1, 2, 3)) + m.sum((1, 2, 3)) + 1)).mean()


def criterion(z, m):
    weight = torch.tensor(4.0) if o.habit == "class_weight" else None
    loss = F.binary_cross_entropy_with_logits(z, m, pos_weight=weight)
    return 0.1 * loss + dice_loss(z, m) if o.fault == "dice_of_logits" else loss + 0.5 * dice_loss(z, m)


img, msk = scenes(700)
tr_x, tr_m, va_x, va_m = img[:525], msk[:525], img[525:], msk[525:]
if o.fault == "mask_scaled_twice":  # already 0 or 1, the loader divides by 255 once more
    tr_m = tr_m / 255
net = UNet()
if o.habit == "frozen_encoder":
    net.down1.requires_grad_(False)
optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=4e-3)
epochs, micro = 7, 4 if o.habit == "accumulating" else 1
with lvmcheck.record(o.out, config={"epochs": epochs, "accumulate": micro, "loss": "bce + dice"}) as rec:
    if o.watch:
        rec.watch(net, optimizer)
    for epoch in range(epochs):
        if o.fault != "never_back_to_train" or epoch == 0:
            net.train()
        running = batches = 0
        chunks = torch.randperm(len(tr_x)).split(10 if micro > 1 else 35)
        optimizer.zero_grad()
        for k, rows in enumerate(chunks):
            x, m = tr_x[rows], tr_m[rows]
            if torch.rand(1) < 0.5:
                x = x.flip(-1)
                m = m if o.fault == "image_flipped_mask_not" else m.flip(-1)
            loss = criterion(net(x), m)
            (loss / micro).backward()
            running, batches = running + loss.item(), batches + 1
            if (k + 1) % micro == 0 or k + 1 == len(chunks):
                optimizer.step()
                optimizer.zero_grad()
                rec.step(loss=loss)
        net.eval()
        inter = union = vl = 0.0
        with torch.no_grad():
            for rows in torch.arange(len(va_x)).split(100):
                z = net(va_x[rows])
                if o.fault == "iou_threshold_on_logits":
                    p = z > 2.0
                else:
                    p = z > 0
                g = va_m[rows] > 0.5
                inter, union = inter + (p & g).sum().item(), union + (p | g).sum().item()
                vl += criterion(z, va_m[rows]).item() * len(rows) / len(va_x)
        rec.epoch(epoch, train_loss=running / batches, val_loss=vl, val_iou=inter / max(1, union))
