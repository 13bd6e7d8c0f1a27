"""Where is the disc in a noisy picture? Regression of two coordinates; JSON lines."""
import json
import os
import torch
from torch import nn
import torch.nn.functional as F
from common import options, facts

TASK = "keypoint regression"
RECORDER = False
FAULTS = {
    "flip_without_target": ("pictures are flipped at random, their targets are not", ["label_noise", "label_mismatch", "validation_differs", "not_learning"], False),
    "axes_swapped_in_val": ("x and y are swapped in the validation set", ["validation_differs", "validation_transformed", "label_mismatch"], False),
    "rate_of_ten": ("SGD with learning rate 10", ["learning_rate_too_high", "diverging", "exploding_gradient"], False),
    "stale_batch": ("the error in validation is computed from the last batch of training", ["validation_is_training", "metric_constant"], False),
    "weights_reset_each_epoch": ("the model is made within the loop of epochs", ["weights_reset"], False),
}
HABITS = {"": "smooth L1, 12 epochs", "steps_only": "training loss each ten steps, no validation", "warm_up_long": "warm-up over a third of the run"}


def make(n):
    c = torch.rand(n, 2) * .8 + .1
    g = (torch.arange(16) + .5) / 16
    d = ((g[None, None, :] - c[:, 0, None, None]) ** 2 + (g[None, :, None] - c[:, 1, None, None]) ** 2) / .012
    return ((-d).exp() + .25 * torch.randn(n, 16, 16))[:, None], c


def net():
    return nn.Sequential(nn.Conv2d(1, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 48), nn.ReLU(), nn.Linear(48, 2))


def main():
    o = options()
    torch.manual_seed(22)
    (x, c), (vx, vc) = make(2400), make(400)
    if o.fault == "axes_swapped_in_val":
        vc = vc.flip(1)

    def made():
        m = net()
        return m, torch.optim.SGD(m.parameters(), lr=10., momentum=.9) if o.fault == "rate_of_ten" else torch.optim.Adam(m.parameters(), lr=2e-3)
    model, opt = made()
    epochs, step = 12, 0
    os.makedirs(o.out, exist_ok=True)
    with open(os.path.join(o.out, "log.jsonl"), "w") as f:
        for epoch in range(1, epochs + 1):
            if o.fault == "weights_reset_each_epoch":
                model, opt = made()
            total = 0.
            for rows in torch.randperm(len(x)).split(60):
                bx, bc = x[rows], c[rows]
                flip = torch.rand(len(bx)) < .5
                bx = torch.where(flip[:, None, None, None], bx.flip(3), bx)
                if o.fault != "flip_without_target":
                    bc = torch.where(flip[:, None], torch.stack([1 - bc[:, 0], bc[:, 1]], 1), bc)
                step += 1
                if o.habit == "warm_up_long":
                    opt.param_groups[0]["lr"] = 2e-3 * min(1, step / 160)
                loss = F.smooth_l1_loss(model(bx), bc, beta=.1)
                opt.zero_grad()
                loss.backward()
                opt.step()
                total += loss.item() * len(rows) / len(x)
                if o.habit == "steps_only" and step % 10 == 0:
                    f.write(json.dumps({"step": step, "loss": round(loss.item(), 6)}) + "\n")
                if o.fault == "weights_reset_each_epoch" and step % 10 == 0:
                    f.write(json.dumps({"step": step, "train_loss": round(loss.item(), 6)}) + "\n")
            if o.habit == "steps_only":
                continue
            with torch.no_grad():
                a, b = (model(bx), bc) if o.fault == "stale_batch" else (model(vx), vc)
                vl, err = F.smooth_l1_loss(a, b, beta=.1).item(), (a - b).norm(dim=1).mean().item()
            row = {"epoch": epoch, "train_loss": total, "val_loss": vl, "val_pixel_error": 16 * err}
            if o.fault == "weights_reset_each_epoch":
                row = {"step": step, "val_loss": vl, "val_pixel_error": 16 * err}
            if o.habit == "warm_up_long":
                row["lr"] = opt.param_groups[0]["lr"]
            f.write(json.dumps(row) + "\n")
    with torch.no_grad():
        err = (model(vx) - vc).norm(dim=1).mean()
    facts(score=err, trivial=(vc - c.mean(0)).norm(dim=1).mean(), lower_is_better=True)


if __name__ == "__main__":
    main()
