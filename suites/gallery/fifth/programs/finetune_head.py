"""Fine-tune a pretrained encoder on a small set of another task."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "fine-tuning"
FAULTS = {
    "head_replaced_late": ("the head is replaced after the optimizer was made", ["optimizer_of_former_model", "parameters_not_optimized"], True),
    "lr_hundredfold": ("learning rate 0.3 destroys what was pretrained", ["learning_rate_too_high", "diverging", "updates_out_of_range", "not_learning", "units_dead", "outputs_collapsed", "gradients_leap", "exploding_gradient"], True),
    "eval_stays": ("the encoder was loaded with .eval(), train() is never called: no dropout", ["train_missing"], True),
    "froze_instead": ("requires_grad_(False) where the encoder should be unfrozen at epoch 3", ["frozen_on_the_way"], True),
    "test_own_scaling": ("pixels of the test set are not divided by 255", ["validation_differs", "inputs_not_normalised"], True),
    "decay_ten": ("weight_decay=10 in Adam", ["weight_decay_destroys", "outputs_collapsed", "not_learning", "collapsed_representation"], True),
}
HABITS = {"": "all layers are tuned", "frozen_on_purpose": "only the head is trained", "good_start": "a second round from weights that are nearly there",
          "resumed": "the run is recorded in two parts, resume='auto'", "gradual": "the encoder is frozen before the first step and joins later with a small rate"}


def main():
    o = options()
    torch.manual_seed(50)
    w1 = torch.randn(16, 36)
    lat = torch.randn(4000, 16)
    img = torch.sigmoid((lat @ w1).tanh() * 2 + .3 * torch.randn(4000, 36)) * 255
    a = (lat[:, :4] * torch.tensor([1, -1, 1, 1.])).argmax(1)
    b = (lat[:, 0] * lat[:, 5] > 0).long() * 2 + (lat[:, 2] + lat[:, 7] > 0).long()
    x = img / 255
    enc = nn.Sequential(nn.Linear(36, 64), nn.ReLU(), nn.Dropout(.15), nn.Linear(64, 64), nn.ReLU())
    both = nn.Linear(64, 8)
    pre = torch.optim.Adam([*enc.parameters(), *both.parameters()], 3e-3)
    for _ in range(10):
        for r in torch.randperm(3000).split(100):
            z = both(enc(x[r]))
            l = F.cross_entropy(z[:, :4], a[r]) + F.cross_entropy(z[:, 4:], b[r])
            pre.zero_grad(); l.backward(); pre.step()
    head = nn.Linear(64, 4)
    tx, ty, vx, vy = x[3000:3400], b[3000:3400], x[3400:], b[3400:]
    if o.fault == "test_own_scaling":
        vx = img[3400:]
    net = nn.Sequential(enc, head)
    lr = .3 if o.fault == "lr_hundredfold" else 3e-3
    if o.habit in ("frozen_on_purpose", "gradual") or o.fault == "froze_instead":
        enc.requires_grad_(o.fault == "froze_instead")
    if o.fault == "eval_stays":
        net.eval()
    tr = lambda k, opt, lo=None: [
        opt.zero_grad(), k.backward(), opt.step()]
    if o.habit == "good_start":
        s = torch.optim.Adam(net.parameters(), 2e-3)
        for _ in range(12):
            for r in torch.randperm(400).split(40):
                tr(F.cross_entropy(net(tx[r]), ty[r]), s)
        lr = 2e-4
    opt = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=lr, weight_decay=10. if o.fault == "decay_ten" else 0.)
    if o.fault == "head_replaced_late":
        net[1] = nn.Linear(64, 4)
    ds, dv = torch.utils.data.TensorDataset(tx, ty), torch.utils.data.TensorDataset(vx, vy)
    E = 10

    def part(first, last, **kw):
        with lvmcheck.record(o.out, config={"lr": lr, "epochs": E}, **kw) as rec:
            if o.watch:
                rec.watch(net, opt, train=ds, val=dv)
            for e in range(first, last):
                if e == 3 and o.fault == "froze_instead":
                    enc.requires_grad_(False)
                if e == 4 and o.habit == "gradual":
                    enc.requires_grad_(True)
                    opt.add_param_group({"params": enc.parameters(), "lr": lr / 3})
                s = []
                for r in torch.randperm(400).split(20):
                    loss = F.cross_entropy(net(tx[r]), ty[r])
                    tr(loss, opt)
                    s.append(loss.item())
                    rec.step(loss=loss)
                if o.fault != "eval_stays":
                    net.eval()
                with torch.no_grad():
                    z = net(vx)
                if o.fault != "eval_stays":
                    net.train()
                rec.epoch(e, train_loss=sum(s) / len(s), test_loss=F.cross_entropy(z, vy), test_acc=(z.argmax(1) == vy).float().mean())
        return (z.argmax(1) == vy).float().mean(), F.cross_entropy(z, vy)
    if o.habit == "resumed":
        part(0, 5, resume="auto")
        acc, tl = part(5, E, resume="auto")
    else:
        acc, tl = part(0, E)
    facts(score=acc, trivial=torch.bincount(vy).max() / len(vy), loss=tl)


if __name__ == "__main__":
    main()
