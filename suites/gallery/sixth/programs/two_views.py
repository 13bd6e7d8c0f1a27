"""Two views of a digit, NT-Xent loss, a nearest-neighbour probe."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts, real

TASK = "contrastive two-view learning"
FAULTS = {
    "views_alike": ("both views are made once, by the same augmentation", ["augmentation_frozen", "target_leak"], True),
    "temperature_50": ("similarities are divided by 50, not by 0.2", ["wrong_scale", "not_learning", "learning_rate_too_low"], False),
    "partner_off": ("the labels name the neighbour of the partner", ["label_mismatch", "not_learning", "collapsed_representation"], False),
    "only_alignment": ("the loss only draws partners together, there are no negatives", ["collapsed_representation", "outputs_collapsed"], True),
    "sign": ("the loss is returned without its minus", ["loss_sign", "diverging"], False),
    "projector_only": ("the optimizer is given the projector", ["parameters_not_optimized", "metric_constant"], True),
}
HABITS = {"": "probe after each epoch", "probe_each_fourth": "probe each fourth epoch", "sharp": "temperature 0.05, cosine schedule"}


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 64))
        self.projector = nn.Sequential(nn.ReLU(), nn.Linear(64, 32))

    def forward(self, x):
        return F.normalize(self.projector(self.body(x)), dim=1)


def view(x):
    n = len(x)
    angle = (torch.rand(n) - .5) * .9
    scale = 1 + (torch.rand(n) - .5) * .4
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1], theta[:, 1, 0], theta[:, 1, 1] = angle.cos() * scale, -angle.sin(), angle.sin(), angle.cos() * scale
    theta[:, :, 2] = (torch.rand(n, 2) - .5) * .4
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)
    return x + .1 * torch.randn_like(x)


def nt_xent(a, b, temperature, fault):
    n = len(a)
    z = torch.cat([a, b])
    sim = (z @ z.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -1e9)
    partner = torch.arange(2 * n).roll(n + 1 if fault == "partner_off" else n)
    logp = sim.log_softmax(1)[torch.arange(2 * n), partner].mean()
    return logp if fault == "sign" else -logp


@torch.no_grad()
def probe(model, tx, ty, vx, vy):
    model.eval()
    a, b = F.normalize(model.body(tx), dim=1), F.normalize(model.body(vx), dim=1)
    model.train()
    near = ty[(b @ a.T).topk(5, 1).indices]
    return (near.mode(1).values == vy).float().mean()


def main():
    o = options()
    torch.manual_seed(9)
    d = real()
    x, y = torch.from_numpy(d["digits"]).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(d["digit_label"]).long()
    order = torch.randperm(len(x))
    x, y = x[order], y[order]
    tx, ty, vx, vy = x[:1300], y[:1300], x[1300:], y[1300:]
    vx = view(vx)  # the probe asks turned and noisy digits
    model = Encoder()
    lr = 2e-3
    opt = torch.optim.Adam(model.projector.parameters() if o.fault == "projector_only" else model.parameters(), lr=lr)
    epochs = 12
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs * 10) if o.habit == "sharp" else None
    temperature = {"temperature_50": 50.}.get(o.fault, .05 if o.habit == "sharp" else .2)
    once = view(tx) if o.fault == "views_alike" else None
    before = probe(model, tx, ty, vx, vy)
    with lvmcheck.record(o.out, config={"epochs": epochs, "temperature": temperature, "lr": lr, "batch_size": 128}) as rec:
        if o.watch:
            rec.watch(model, opt, sched)
        for epoch in range(1, epochs + 1):
            losses = []
            for rows in torch.randperm(len(tx)).split(128)[:10]:
                a, b = (view(tx[rows]), view(tx[rows])) if once is None else (once[rows], once[rows])
                a, b = model(torch.cat([a, b])).chunk(2)
                loss = -(a * b).sum(1).mean() if o.fault == "only_alignment" else nt_xent(a, b, temperature, o.fault)
                opt.zero_grad()
                loss.backward()
                opt.step()
                if sched:
                    sched.step()
                rec.step(loss=loss.detach(), lr=opt.param_groups[0]["lr"])
                losses.append(loss.item())
            if o.habit == "probe_each_fourth" and epoch % 4:
                rec.epoch(epoch, train_loss=sum(losses) / len(losses))
            else:
                acc = probe(model, tx, ty, vx, vy)
                rec.epoch(epoch, train_loss=sum(losses) / len(losses), val_knn_accuracy=acc)
    facts(score=acc, trivial=.1, untrained=before, loss=losses[-1])


if __name__ == "__main__":
    main()
