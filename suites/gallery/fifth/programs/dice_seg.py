"""Segment bright blobs in noisy pictures with a soft Dice loss."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "segmentation with Dice"
FAULTS = {
    "flip_picture_only": ("random flips are applied to the picture and not to its mask", ["label_mismatch", "label_noise", "validation_differs"], True),
    "raw_logits": ("Dice of logits, the sigmoid is missing: the loss runs away below 0", ["loss_sign", "diverging", "wrong_scale", "gradients_leap", "exploding_gradient"], True),
    "bn_one_picture": ("no eval(): batch norm with batches of one picture in validation", ["eval_missing", "rows_mix", "validation_differs"], True),
    "never_train_again": ("model.eval() after the first epoch is never undone", ["train_missing"], True),
    "val_from_train": ("the validation loader is built over a part of the training set", ["leaked_split", "validation_is_training"], True),
    "dice_with_itself": ("val_dice compares the prediction with itself", ["metric_constant"], False),
    "single_picture": ("debug slice [:16] left in the training set", ["one_batch_repeated", "overfitting", "memorisation", "duplicated_rows"], True),
}
HABITS = {"": "1 - Dice", "negative_dice": "the loss is -Dice", "cyclic": "cyclic learning rate", "hard_augmentation": "noise and dropout in training only, validation is better"}


def make(n, seed):
    g = torch.Generator().manual_seed(seed)
    c = torch.rand(n, 2, 2, generator=g) * 16
    r = 1.5 + torch.rand(n, 2, generator=g) * 2.5
    t = torch.arange(16.)
    d = ((t[None, None, :, None] - c[..., 0, None, None]) ** 2 + (t[None, None, None] - c[..., 1, None, None]) ** 2).sqrt()
    m = (d < r[..., None, None]).any(1).float()[:, None]
    ramp = t[None, None, :, None] / 10
    return m * 1.1 + ramp + torch.randn(n, 1, 16, 16, generator=g) * .6, m


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        cv = lambda i, k, s=1: nn.Sequential(nn.Conv2d(i, k, 3, s, 1), nn.BatchNorm2d(k), nn.ReLU())
        self.a, self.b, self.c = cv(1, 8), cv(8, 12, 2), cv(12, 12)
        self.up, self.last, self.drop = nn.ConvTranspose2d(12, 8, 2, 2), nn.Conv2d(16, 1, 3, padding=1), nn.Dropout2d(0.)

    def forward(self, x):
        a = self.a(x)
        return self.last(self.drop(torch.cat([a, self.up(self.c(self.b(a)))], 1)))


def main():
    o = options()
    torch.manual_seed(9)
    x, m = make(480, 1)
    vx, vm = make(96, 2)
    if o.fault == "val_from_train":
        vx, vm = x[:96], m[:96]
    if o.fault == "single_picture":
        x, m = x[:16].repeat(30, 1, 1, 1), m[:16].repeat(30, 1, 1, 1)
    net = Net()
    if o.habit == "hard_augmentation":
        net.drop.p = .3
    opt = torch.optim.AdamW(net.parameters(), lr=4e-3)
    sched = torch.optim.lr_scheduler.CyclicLR(opt, 5e-4, 8e-3, step_size_up=30, cycle_momentum=False) if o.habit == "cyclic" else None

    def dice(z, m):
        p = z if o.fault == "raw_logits" and torch.is_grad_enabled() else z.sigmoid()
        return ((2 * (p * m).sum((1, 2, 3)) + 1) / (p.sum((1, 2, 3)) + m.sum((1, 2, 3)) + 1)).mean()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, m), batch_size=24, shuffle=True)
    vloader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(vx, vm), batch_size=1 if o.fault == "bn_one_picture" else 48)
    with lvmcheck.record(o.out, config={"epochs": 8}) as rec:
        if o.watch:
            rec.watch(net, opt, sched, train=loader, val=vloader)
        for e in range(8):
            if o.fault != "never_train_again":
                net.train()
            s = 0
            for xb, mb in loader:
                if torch.rand(()) < .5:
                    xb = xb.flip(-1)
                    if o.fault != "flip_picture_only":
                        mb = mb.flip(-1)
                if o.habit == "hard_augmentation":
                    xb = xb + .8 * torch.randn_like(xb)
                loss = -dice(net(xb), mb) if o.habit == "negative_dice" else 1 - dice(net(xb), mb)
                opt.zero_grad()
                loss.backward()
                opt.step()
                if sched:
                    sched.step()
                s += loss.item()
                rec.step(loss=loss, lr=opt.param_groups[0]["lr"])
            if o.fault != "bn_one_picture":
                net.eval()
            with torch.no_grad():
                z = torch.cat([net(b) for b, _ in vloader])
                d = dice(z, vm)
                p = (z > 0).float()
                ref = p if o.fault == "dice_with_itself" else vm
                hard = (2 * (p * ref).sum() / (p.sum() + ref.sum()).clamp(min=1))
            rec.epoch(e + 1, train_loss=s / 20, val_loss=-d if o.habit == "negative_dice" else 1 - d, val_dice=hard)
    net.eval()
    hx, hm = make(96, 3)
    with torch.no_grad():
        p = (net(hx) > 0).float()
    facts(score=2 * (p * hm).sum() / (p.sum() + hm.sum()).clamp(min=1), trivial=2 * hm.sum() / (hm.numel() + hm.sum()), reported=hard)


if __name__ == "__main__":
    main()
