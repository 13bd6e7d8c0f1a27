"""Small U-Net that segments cells in noisy 24x24 pictures (about 10 % foreground)."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

import lvmcheck
from options import options

torch.set_num_threads(1)
args = options()


def draw(n, seed):
    g = torch.Generator().manual_seed(seed)
    yy, xx = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    image = torch.zeros(n, 24, 24)
    mask = torch.zeros(n, 24, 24)
    for kind in range(4):  # two cells, two distractors (rings)
        cy, cx = (torch.rand(n, 1, 1, generator=g) * 18 + 3 for _ in range(2))
        r = torch.rand(n, 1, 1, generator=g) * 1.6 + 1.9
        d = ((yy - cy) ** 2 + 1.4 * (xx - cx) ** 2).sqrt() / r
        if kind < 2:
            image += 0.8 * torch.sigmoid(6 * (1 - d))
            mask = torch.maximum(mask, (d < 1).float())
        else:
            image += 0.9 * torch.exp(-((d - 1.3) / 0.25) ** 2)
    image += 0.02 * (yy - 12) * torch.randn(n, 1, 1, generator=g) + 0.3 * torch.randn(n, 24, 24, generator=g)
    return image, mask


class Cells(Dataset):
    def __init__(self, n, seed, augment=False):
        self.image, self.mask = draw(n, seed)
        self.augment = augment

    def __len__(self):
        return len(self.image)

    def __getitem__(self, i):
        x, m = self.image[i][None], self.mask[i][None]
        if self.augment:
            if torch.rand(()) < 0.5:
                x = x.flip(-1)
                if args.fault != "flip_image_only":
                    m = m.flip(-1)
            if torch.rand(()) < 0.5:
                x, m = x.flip(-2), m.flip(-2)
        if args.fault == "mask_div255":
            m = m / 255
        return x, m


def conv(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, c=10):
        super().__init__()
        self.down1, self.down2 = conv(1, c), nn.Sequential(conv(c, 2 * c), conv(2 * c, 2 * c))
        self.mid = conv(2 * c, 2 * c)
        self.up2, self.up1 = conv(4 * c, c), conv(2 * c, c)
        self.out = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        m = self.mid(F.max_pool2d(b, 2))
        u = self.up2(torch.cat([F.interpolate(m, scale_factor=2), b], 1))
        return self.out(self.up1(torch.cat([F.interpolate(u, scale_factor=2), a], 1)))


def soft_dice(logits, m):
    p = logits.float().sigmoid()
    inter = (p * m).sum((1, 2, 3))
    return ((2 * inter + 1) / (p.sum((1, 2, 3)) + m.sum((1, 2, 3)) + 1)).mean()


POS = 0.12 if args.fault == "pos_weight_inverted" else 3.0


def criterion(logits, m):
    bce = F.binary_cross_entropy_with_logits(logits.float(), m, pos_weight=torch.tensor(POS))
    if args.fault == "dice_sign":
        return bce + soft_dice(logits, m)
    if args.habit == "dice_only":
        return -torch.log(soft_dice(logits, m))
    return bce + 1 - soft_dice(logits, m)


@torch.no_grad()
def validate(net, loader):
    net.eval()
    loss = inter = union = right = total = 0
    for x, m in loader:
        z = net(x)
        if args.habit == "tta":
            z = (z + net(x.flip(-1)).flip(-1) + net(x.flip(-2)).flip(-2)) / 3
        loss += criterion(z, m).item() * len(x)
        p, t = z > 0, m > 0.5
        inter += (p & t).sum().item()
        union += (p | t).sum().item()
        right += (p == t).sum().item()
        total += t.numel()
    if args.fault != "stays_eval":
        net.train()
    return loss / len(loader.dataset), 100 * inter / max(1, union), 100 * right / total


def main():
    torch.manual_seed(2)
    epochs, lr = 8, 5e-3
    train = DataLoader(Cells(288, 1, augment=True), batch_size=16, shuffle=True)
    val = DataLoader(Cells(80, 2), batch_size=40)
    net = UNet()
    if args.fault == "stays_eval":
        validate(net, val)  # sanity check before training
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    sched = torch.optim.lr_scheduler.StepLR(opt, step_size=4, gamma=0.4)
    amp = args.habit == "amp"
    with lvmcheck.record(args.out, config={"epochs": epochs, "lr": lr, "batch_size": 16, "pos_weight": POS, "bf16": amp}, **args.extra) as rec:
        for epoch in range(1, epochs + 1):
            running = 0.0
            for x, m in train:
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
                    z = net(x)
                loss = criterion(z, m)
                opt.zero_grad()
                loss.backward()
                opt.step()
                if args.fault == "sched_per_batch":
                    sched.step()
                running += loss.item() / len(train)
                rec.step(loss=loss)
            if args.fault != "sched_per_batch":
                sched.step()
            val_loss, iou, acc = validate(net, val)
            rec.epoch(epoch, train_loss=running, val_loss=val_loss, val_IoU=iou, val_pixel_acc=acc)


main()
