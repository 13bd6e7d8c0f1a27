"""Binary segmentation of cells on textured slides with a small U-Net, flips and gain as augmentation, BCE and Dice."""
import argparse

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import lvmcheck


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("outdir")
    p.add_argument("--fault", default=None)
    p.add_argument("--habit", default=None)
    return p.parse_args()


ARGS = parse()
FAULT, HABIT = ARGS.fault, ARGS.habit
SIDE = 24


def slides(n, seed):
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:SIDE, :SIDE]
    images, masks = [], []
    for i in range(n):
        image = rng.normal(0, 12, (SIDE, SIDE)) + 90 + 1.5 * rng.normal() * xx
        mask = np.zeros((SIDE, SIDE), bool)
        for _ in range(rng.integers(0 if HABIT == "empty_slides" else 1, 4)):
            cy, cx, a, b, turn = *rng.uniform(4, SIDE - 4, 2), *rng.uniform(2, 5, 2), rng.uniform(0, np.pi)
            u = (yy - cy) * np.cos(turn) + (xx - cx) * np.sin(turn)
            v = (xx - cx) * np.cos(turn) - (yy - cy) * np.sin(turn)
            r = (u / a) ** 2 + (v / b) ** 2
            mask |= r < 1
            image = np.where(r < 1, image + 30 * (1 - 0.6 * r) + 6 * np.cos(2 * u), image)
        for _ in range(3):  # specks of dust, brighter than cells, that are none
            y, x = rng.integers(0, SIDE - 1, 2)
            image[y : y + 2, x : x + 1] += 60
        images.append(image.clip(0, 255).astype(np.float32))
        masks.append(mask.astype(np.float32) * 255)
    return np.stack(images), np.stack(masks)


class Slides(Dataset):
    def __init__(self, images, masks, training, seed=0):
        self.images, self.masks, self.training = images, masks, training
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, mask = self.images[i], self.masks[i] / 255
        if FAULT == "divided_twice":
            mask = mask / 255
        if self.training:
            gain = self.rng.uniform(0.85, 1.2)
            if FAULT == "gain_in_place":
                image *= gain
            else:
                image = image * gain
            if self.rng.random() < 0.5:
                image, mask = image[:, ::-1], mask[:, ::-1]
            if self.rng.random() < 0.5:
                image = image[::-1]
                if FAULT != "mask_not_flipped":
                    mask = mask[::-1]
        if FAULT == "val_not_normalised" and not self.training:
            image = image / 255
        else:
            image = (image - 95) / 22
        return torch.from_numpy(image.copy())[None].float(), torch.from_numpy(mask.copy())[None].float()


def block(i, o):
    momentum = 0.0 if FAULT == "momentum" else 0.1
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o, momentum=momentum), nn.ReLU())


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.mid = block(1, 8), block(8, 12), block(12, 16)
        self.up2, self.up1 = block(16 + 12, 12), block(12 + 8, 8)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.mid(F.max_pool2d(b, 2))
        y = self.up2(torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        y = self.up1(torch.cat([F.interpolate(y, scale_factor=2), a], 1))
        y = self.head(y)
        return y.sigmoid() if FAULT == "double_sigmoid" else y


def soft_dice(logits, mask):
    p = logits.sigmoid()
    inter = (p * mask).sum((1, 2, 3))
    return ((2 * inter + 1) / (p.sum((1, 2, 3)) + mask.sum((1, 2, 3)) + 1)).mean()


def criterion(logits, mask):
    weight = None
    if FAULT == "weight_of_background":
        weight = mask.mean() / (1 - mask.mean())
    bce = F.binary_cross_entropy_with_logits(logits, mask, pos_weight=weight)
    if FAULT == "dice_not_inverted":
        return bce + soft_dice(logits, mask)
    return bce + 1 - soft_dice(logits, mask)


@torch.no_grad()
def evaluate(net, loader):
    if FAULT != "no_eval":
        net.eval()
    loss, inter, union, total = 0.0, 0.0, 0.0, 0.0
    for x, m in loader:
        y = net(x)
        if HABIT == "flip_tta":
            y = (y + net(x.flip(-1)).flip(-1)) / 2
        loss += criterion(y, m).item() * len(x)
        p, t = y.sigmoid() > 0.5, m > 0.5
        inter += (p & t).sum().item()
        total += p.sum().item() + t.sum().item()
        union += (p.sum() + t.sum()).item() if FAULT == "union_sum" else (p | t).sum().item()
    net.train()
    return {"val_loss": loss / len(loader.dataset), "val_dice": 2 * inter / max(total, 1), "val_iou": inter / max(union, 1)}


def main():
    torch.set_num_threads(1)
    torch.manual_seed(21)
    train = DataLoader(Slides(*slides(384, 1), training=True), batch_size=16, shuffle=True)
    val = DataLoader(Slides(*slides(80, 2), training=False), batch_size=4 if FAULT == "no_eval" else 40)
    net = UNet()
    parameters = net.parameters()
    if FAULT == "encoder_only":
        parameters = [*net.down1.parameters(), *net.down2.parameters(), *net.mid.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=4e-3, weight_decay=1e-3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="min" if FAULT == "plateau_mode" else "max", factor=0.2 if FAULT == "plateau_mode" else 0.5,
        patience=0 if FAULT == "plateau_mode" else 2,
    )  # fmt: skip
    epochs = 10
    with lvmcheck.record(ARGS.outdir, config={"epochs": epochs, "model": "unet-8-12-16"}) as rec:
        for epoch in range(epochs):
            if HABIT == "frozen_norm" and epoch == epochs - 2:
                for module in net.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.momentum = 0.0
            losses = []
            for x, m in train:
                if HABIT == "bf16":
                    with torch.autocast("cpu", dtype=torch.bfloat16):
                        y = net(x)
                    loss = criterion(y.float(), m)
                else:
                    loss = criterion(net(x), m)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimizer.step()
                losses.append(loss.item())
                rec.step(loss=losses[-1], grad_norm=norm)
            scores = evaluate(net, val)
            plateau.step(scores["val_dice"])
            rec.epoch(epoch, train_loss=np.mean(losses), lr=optimizer.param_groups[0]["lr"], **scores)


if __name__ == "__main__":
    main()
