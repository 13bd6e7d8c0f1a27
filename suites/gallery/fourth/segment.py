"""Blobs on a textured ground, a tiny U-Net, BCE plus dice."""
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

import lvmcheck

TASK = "segmentation"


def blobs(n, seed):
    g = np.random.default_rng(seed)
    yy, xx = np.mgrid[0:24, 0:24]
    imgs, masks = [], []
    for _ in range(n):
        m = np.zeros((24, 24), bool)
        for _ in range(g.integers(1, 3)):
            cy, cx, r = g.uniform(4, 20), g.uniform(4, 20), g.uniform(2, 4.5)
            m |= (yy - cy) ** 2 + (xx - cx) ** 2 < r * r
        img = 0.8 * m + 0.3 * np.sin(xx / g.uniform(1, 4) + g.uniform(0, 6)) + 0.4 * g.standard_normal((24, 24))
        imgs.append(img)
        masks.append(m)
    return torch.tensor(np.array(imgs), dtype=torch.float32)[:, None], torch.tensor(np.array(masks), dtype=torch.float32)[:, None]


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(4, o), nn.SiLU())


class UNet(nn.Module):
    def __init__(self, bug):
        super().__init__()
        self.bug = bug
        self.down1, self.down2, self.mid = block(1, 8), block(8, 16), block(16, 16)
        self.up1, self.up2, self.out = block(32, 8), block(16, 8), nn.Conv2d(8, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.mid(F.max_pool2d(b, 2))
        if self.bug == "encoder_detached":
            a, b, c = a.detach(), b.detach(), c.detach()
        u = self.up1(torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        u = self.up2(torch.cat([F.interpolate(u, scale_factor=2), a], 1))
        u = self.out(u)
        return u.sigmoid() if self.bug == "sigmoid_twice" else u


def dice_of(p, m):
    return (2 * (p * m).sum((1, 2, 3)) + 1) / (p.sum((1, 2, 3)) + m.sum((1, 2, 3)) + 1)


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(3)
    X, M = blobs(240, 10)
    VX, VM = blobs(120, 11)
    net = UNet(broken)
    lr = 3e-3
    opt = torch.optim.AdamW(net.parameters(), lr=lr)
    start_down = net.down1[0].weight.detach().clone()
    if broken == "scheduler_per_batch":
        sch = torch.optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
    else:
        sch = torch.optim.lr_scheduler.StepLR(opt, step_size=4, gamma=0.5)
    posw = torch.tensor(8.0) if habit == "positive_weight" else torch.tensor(1.0)
    accumulate = 4 if habit == "accumulation" else 1
    bs = 16 // accumulate * (1 if accumulate == 1 else 1)
    EPOCHS = 8
    said = None
    rec = lvmcheck.record(rec_dir, config=dict(epochs=EPOCHS, learning_rate=lr, batch=bs, accumulate=accumulate))
    with rec:
        if watch:
            rec.watch(net, opt, sch)
        for ep in range(EPOCHS):
            net.train()
            run = []
            order = torch.randperm(len(X)).split(bs)
            for i, idx in enumerate(order):
                x, m = X[idx], M[idx]
                if torch.rand(()) < 0.5:
                    x = x.flip(3)
                    if broken != "mask_not_flipped":
                        m = m.flip(3)
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=habit == "bf16"):
                    z = net(x)
                z = z.float()
                bce = F.binary_cross_entropy_with_logits(z, m, pos_weight=posw)
                d = dice_of(z.sigmoid(), m).mean()
                if broken == "dice_sign":
                    total = bce + d
                elif broken == "inverted_masks":
                    total = F.binary_cross_entropy_with_logits(z, 1 - m) + 1 - dice_of(z.sigmoid(), 1 - m).mean()
                else:
                    total = bce + (1 - d)
                (total / accumulate).backward()
                if (i + 1) % accumulate == 0:
                    opt.step()
                    opt.zero_grad(set_to_none=True)
                    if broken == "scheduler_per_batch":
                        sch.step()
                    rec.step(loss=total, samples=bs * accumulate)
                run.append(total.item())
            if broken != "scheduler_per_batch":
                sch.step()
            if habit == "validates_every_other_epoch" and ep % 2 == 0:
                rec.epoch(ep, **{"train/loss": float(np.mean(run))})
                continue
            net.eval()
            with torch.no_grad():
                z = net(VX)
                hard = (z > (0.0 if broken != "threshold_on_logits" else 6.0)).float()
                if broken == "metric_on_background":
                    said = dice_of(1 - hard, 1 - VM).mean().item()
                else:
                    said = dice_of(hard, VM).mean().item()
                iou = ((hard * VM).sum() / ((hard + VM) > 0).sum()).item()
                vl = F.binary_cross_entropy_with_logits(z, VM).item()
            rec.epoch(ep, **{"train/loss": float(np.mean(run)), "val/bce": vl, "val/dice": said, "val/iou": iou})
    with torch.no_grad():
        z = net(VX)
        score = dice_of((z > (0.5 if broken == "sigmoid_twice" else 0)).float(), VM).mean().item()
    return dict(score=score, trivial=dice_of(torch.ones_like(VM), VM).mean().item(), good=0.75, reported=said,
                lowest_output=z.min().item(), encoder_moved=not torch.equal(start_down, net.down1[0].weight))


HEALTHY = {
    "base": "tiny U-Net, BCE plus dice",
    "positive_weight": "rare foreground weighted eightfold",
    "accumulation": "gradients of four small batches are accumulated and divided",
    "bf16": "autocast in bfloat16",
    "validates_every_other_epoch": "validation figures only in every second epoch",
}
BROKEN = [
    ("encoder_detached", "the encoder's outputs are detached before the decoder", "part of the graph is detached", "watch", "not r['encoder_moved']"),
    ("sigmoid_twice", "the model returns probabilities, the loss expects logits", "sigmoid twice", "both", "r['lowest_output']>=0"),
    ("scheduler_per_batch", "scheduler.step() in the batch loop halves the rate every two batches", "schedule counted in batches in place of epochs", "both"),
    ("mask_not_flipped", "the image is flipped, its mask is not", "augmentation of inputs without their targets", "curves", "r['score']<b['score']-0.03"),
    ("dice_sign", "the dice coefficient is added, not one minus it", "a loss term has the wrong sign", "both"),
    ("inverted_masks", "training masks are inverted", "training and validation targets follow different conventions", "curves"),
    ("threshold_on_logits", "a threshold tuned for another model is left on the logits", "metric with a wrong threshold", "curves"),
    ("metric_on_background", "dice is computed on the background", "metric of the wrong class", "curves"),
]
