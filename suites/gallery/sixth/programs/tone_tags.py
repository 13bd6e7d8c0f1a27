"""Which of eight tones are in a noisy recording? A 1-D convolutional net, steps without epochs."""
import math
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "multi-label tagging of audio"
FAULTS = {
    "labels_rolled": ("the batch of labels begins one row later than that of the recordings", ["label_mismatch", "not_learning", "memorisation"], True),
    "clip_tiny": ("clip_grad_norm_ at 1e-4 with SGD", ["clipped_always", "undertrained", "learning_rate_too_low", "updates_out_of_range"], True),
    "cosine_of_epochs": ("CosineAnnealingLR(T_max=6 epochs) is stepped per batch", ["scheduler_at_wrong_pace", "schedule_wrong"], True),
    "features_detached": ("h = self.conv(x).detach(), left from a probe", ["graph_cut"], True),
    "warm_up_endless": ("warm-up over 500 steps, stepped once per pass of 50", ["scheduler_at_wrong_pace", "schedule_wrong", "learning_rate_too_low", "undertrained"], True),
    "freeze_at_60": ("the body is frozen at step 60 and never thawed", ["frozen_on_the_way"], True),
}
HABITS = {"": "constant rate, evaluation each 50 steps", "one_cycle": "one-cycle schedule", "every_20_unnamed": "every 20th step is logged, micro-F1 under a name of its own"}


class Net(nn.Module):
    def __init__(self, cut=False):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, 16, 15, stride=2, padding=7), nn.ReLU(), nn.Conv1d(16, 32, 9, stride=2, padding=4), nn.ReLU(),
                                  nn.Conv1d(32, 32, 5, stride=2, padding=2), nn.ReLU())
        self.out = nn.Linear(64, 8)
        self.cut = cut

    def forward(self, x):
        h = self.conv(x)
        if self.cut:
            h = h.detach()
        return self.out(torch.cat([h.mean(2), h.amax(2)], 1))


def make(n, g):
    y = (torch.rand(n, 8, generator=g) < .3).float()
    t = torch.arange(160) / 160
    f = torch.tensor([5., 8, 12, 17, 23, 30, 38, 47])
    phase = torch.rand(n, 8, 1, generator=g) * 2 * math.pi
    amp = y * (.5 + torch.rand(n, 8, generator=g))
    x = (amp[:, :, None] * torch.sin(2 * math.pi * f[:, None] * t + phase)).sum(1)
    return (x + .7 * torch.randn(n, 160, generator=g))[:, None], y


def f1(z, y):
    p = z > 0
    return 2 * (p & (y > 0)).sum() / (p.sum() + y.sum()).clamp(min=1)


def main():
    o = options()
    torch.manual_seed(5)
    g = torch.Generator().manual_seed(5)
    tx, ty = make(3200, g)
    vx, vy = make(600, g)
    net = Net(o.fault == "features_detached")
    sgd = o.fault == "clip_tiny"
    lr = .1 if sgd else 2e-3
    opt = torch.optim.SGD(net.parameters(), lr=lr, momentum=.9) if sgd else torch.optim.Adam(net.parameters(), lr=lr)
    steps, scheduler = 300, None
    if o.habit == "one_cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=6e-3, total_steps=steps)
    if o.fault == "cosine_of_epochs":
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=6)
    if o.fault == "warm_up_endless":
        scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min(1, (s + 1) / 500))
    with lvmcheck.record(o.out, config={"steps": steps, "lr": lr, "batch_size": 64}) as rec:
        if o.watch:
            rec.watch(net, opt, scheduler)
        for step in range(1, steps + 1):
            if step % 50 == 1:
                order = torch.randperm(len(tx)).split(64)
            rows = order[(step - 1) % 50]
            target = ty[(rows + 1) % len(ty)] if o.fault == "labels_rolled" else ty[rows]
            loss = F.binary_cross_entropy_with_logits(net(tx[rows]), target)
            opt.zero_grad()
            loss.backward()
            if o.fault == "clip_tiny":
                nn.utils.clip_grad_norm_(net.parameters(), 1e-4)
            opt.step()
            rate = opt.param_groups[0]["lr"]
            if scheduler and (o.fault != "warm_up_endless" or step % 50 == 0):
                scheduler.step()
            if o.fault == "freeze_at_60" and step == 60:
                net.conv.requires_grad_(False)
            rec.step(loss=loss.detach(), lr=rate)
            if step % (20 if o.habit == "every_20_unnamed" else 50) == 0:
                net.eval()
                with torch.no_grad():
                    z = net(vx)
                net.train()
                if o.habit == "every_20_unnamed":
                    rec.log({"tags_micro_f1": f1(z, vy), "tags_per_clip": (z > 0).float().sum(1).mean()})
                else:
                    rec.log(val_loss=F.binary_cross_entropy_with_logits(z, vy), val_f1=f1(z, vy))
    facts(score=f1(z, vy), trivial=f1(torch.ones_like(z), vy), val_loss=F.binary_cross_entropy_with_logits(z, vy))


if __name__ == "__main__":
    main()
