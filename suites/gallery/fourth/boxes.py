"""One rectangle in a noisy picture; regress its box."""
import copy
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck

TASK = "box regression"


def make(n, gen):
    wh = torch.rand(n, 2, generator=gen) * 0.35 + 0.2
    c = wh / 2 + torch.rand(n, 2, generator=gen) * (1 - wh)
    t = (torch.arange(20) + 0.5) / 20
    inx = ((t[None] - c[:, :1]).abs() < wh[:, :1] / 2).float()
    iny = ((t[None] - c[:, 1:]).abs() < wh[:, 1:] / 2).float()
    img = iny[:, :, None] * inx[:, None] + 0.35 * torch.randn(n, 20, 20, generator=gen)
    return img[:, None], torch.cat([c, wh], 1)


def xyxy(b):
    return torch.cat([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], 1)


def iou(a, b):
    lt, rb = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inter = (rb - lt).clamp(min=0).prod(1)
    area = lambda q: (q[:, 2:] - q[:, :2]).clamp(min=0).prod(1)
    return inter / (area(a) + area(b) - inter + 1e-9)


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2, padding=1),
                                      nn.ReLU(), nn.Flatten(), nn.Linear(400, 64), nn.ReLU())
        self.box = nn.Linear(64, 4)
        self.out_relu = False

    def forward(self, x):
        y = self.box(self.backbone(x))
        return F.relu(y) if self.out_relu else y


def main(rec_dir, watch, broken=None, habit=None):
    gen = torch.Generator().manual_seed(5)
    torch.manual_seed(5)
    imgs, boxes = make(1500, gen)
    vimgs, vboxes = make(300, gen)
    model = Detector()
    if broken == "dead_output":
        model.out_relu = True
        nn.init.constant_(model.box.bias, -3.0)
    if habit == "frozen_backbone":
        # first learn the backbone with another head, as a stand-in for downloaded weights
        other = nn.Linear(64, 4)
        o = torch.optim.Adam([*model.backbone.parameters(), *other.parameters()], 2e-3)
        for _ in range(6):
            for idx in torch.randperm(1500).split(50):
                l = F.smooth_l1_loss(other(model.backbone(imgs[idx])), xyxy(boxes[idx]), beta=0.1)
                o.zero_grad(); l.backward(); o.step()
        model.backbone.requires_grad_(False)
    p0 = [p.clone() for p in model.parameters()]
    lr = 1.5e-3
    betas = (0.9, 0.999)
    if broken == "pixels_as_targets":
        boxes_t = boxes.long().float()
    elif broken == "box_format":
        boxes_t = xyxy(boxes)
    else:
        boxes_t = boxes
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr, betas=betas)
    n_ep = 10
    sched = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max" if broken == "plateau_mode" else "min", factor=0.1 if broken == "plateau_mode" else 0.3, patience=0 if broken == "plateau_mode" else 1)
    ema = copy.deepcopy(model) if habit == "ema_for_evaluation" else None
    clip = {"clip_tiny": 1e-9}.get(broken, 5.0)
    step = 0
    with lvmcheck.record(rec_dir, config={"lr": lr, "epochs": n_ep, "bs": 50, "clip": clip}, seed=5) as rec:
        if watch:
            rec.watch(model, optimizer, sched)
        for e in range(n_ep):
            for k, idx in enumerate(torch.randperm(1500).split(50)):
                if broken == "one_batch_per_epoch" and k == 1:
                    break
                pred = model(imgs[idx])
                if broken == "loss_on_centre_only":
                    loss = F.smooth_l1_loss(pred[:, :2], boxes_t[idx][:, :2], beta=0.1)
                else:
                    loss = F.smooth_l1_loss(pred, boxes_t[idx], beta=0.1)
                optimizer.zero_grad()
                if broken == "clears_after_backward":
                    loss.backward()
                    optimizer.zero_grad(set_to_none=False)
                else:
                    loss.backward()
                gn = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                step += 1
                if ema is not None:
                    with torch.no_grad():
                        for a, b in zip(ema.parameters(), model.parameters()):
                            a.lerp_(b, 0.05)
                if e % 2 == 0 or habit != "ema_for_evaluation":
                    rec.step(loss=loss.item(), grad_norm=float(gn), lr=optimizer.param_groups[0]["lr"])
                else:
                    rec.step(loss=loss.item())
            judged = ema or model
            judged.eval()
            with torch.no_grad():
                p = judged(vimgs)
                vloss = F.smooth_l1_loss(p, vboxes, beta=0.1)
                miou = iou(xyxy(p), xyxy(vboxes)).mean()
            model.train()
            sched.step(vloss)
            rec.epoch(e, valid_loss=vloss, mean_iou=miou, lr=optimizer.param_groups[0]["lr"])
    with torch.no_grad():
        honest = iou(xyxy((ema or model)(vimgs)), xyxy(vboxes)).mean().item()
        trivial = iou(xyxy(boxes.mean(0, keepdim=True).expand(300, 4)), xyxy(vboxes)).mean().item()
    return dict(score=honest, trivial=trivial, good=0.5, reported=float(miou), last_lr=optimizer.param_groups[0]["lr"], steps=step,
                moved=sum(not torch.equal(a, b) for a, b in zip(p0, model.parameters())))


HEALTHY = {
    "base": "box regression with smooth L1 and a plateau schedule",
    "frozen_backbone": "a pretrained backbone is frozen on purpose, only the head learns",
    "ema_for_evaluation": "an exponential average of the weights is evaluated",
}
BROKEN = [
    ("dead_output", "ReLU on the output with a bias of -3: every output is zero", "dead output units", "both", "r['moved']==0"),
    ("pixels_as_targets", ".long() on boxes between 0 and 1 makes all targets zero", "targets truncated to integers", "both"),
    ("box_format", "training targets are corners, validation and decoding expect centre and size", "two formats of the same target", "curves"),
    ("plateau_mode", "ReduceLROnPlateau watches the loss with mode max and no patience", "schedule reacts to the wrong direction of the metric", "both", "r['last_lr']<1e-6"),
    ("clip_tiny", "gradients are clipped to a norm of 1e-9", "clipping far too strong", "both"),
    ("one_batch_per_epoch", "a break left from debugging ends each epoch after one batch", "most of the data are never used", "both"),
    ("loss_on_centre_only", "the slice [:, :2] leaves width and height out of the loss", "part of the target is not in the loss", "both"),
    ("clears_after_backward", "zero_grad between backward and step", "gradients cleared before the step", "both", "r['moved']==0"),
]
