"""Sound runs whose curves look odd: late learning, a rate finder, adversarial domains, scaled gradients."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "odd but sound"
FAULTS = {
    "reversal_missing": ("the gradient of the domain head is not reversed: domains are told apart ever better", ["loss_sign", "not_learning"], False),
    "scale_never_undone": ("a hand-made loss scale of 1024 is never divided out before clipping at 1", ["clipped_before_unscale", "clipped_always", "wrong_scale"], True),
}
HABITS = {"late": "nothing for many epochs, then it learns (parity of four bits)", "rate_finder": "the rate grows until the loss breaks out, then it stops",
          "adversarial": "domain-adversarial: the loss of domains stays near ln 2 by design", "scaled": "hand-made loss scale of 1024, one step is skipped"}


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return -g


def simple(n, shift=0.):
    x = torch.randn(n, 16)
    y = ((x[:, 0] + x[:, 1] * x[:, 2]) > 0).long()
    x = x + shift * torch.linspace(-1, 1, 16)
    return x, y


def main():
    o = options()
    torch.manual_seed(130)
    kind = {"reversal_missing": "adversarial", "scale_never_undone": "scaled"}.get(o.fault, o.habit)
    if kind == "late":
        x = torch.randint(0, 2, (1200, 12)).float() * 2 - 1
        y = (x[:, :4].prod(1) > 0).long()
    elif kind == "adversarial":
        x, y = simple(1600)
        tx, tyy = simple(1600, 1.2)
    else:
        x, y = simple(1600)
    net = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 2))
    dom = nn.Linear(64, 2)
    mods = nn.ModuleDict({"net": net, "dom": dom})
    vx, vy = (x[1000:], y[1000:]) if kind == "late" else simple(400, 1.2 if kind == "adversarial" else 0.)
    if kind == "late":
        x, y = x[:1000], y[:1000]
    lr = {"late": 2.2e-3, "rate_finder": 1e-6, "adversarial": 1.5e-3}.get(kind, 3e-3)
    opt = torch.optim.SGD(net.parameters(), lr=.05) if kind == "scaled" else torch.optim.AdamW(mods.parameters() if kind == "adversarial" else net.parameters(), lr=lr)
    best = 9e9

    def ev():
        net.eval()
        with torch.no_grad():
            z = net(vx)
        net.train()
        return F.cross_entropy(z, vy), (z.argmax(1) == vy).float().mean()
    with lvmcheck.record(o.out, config={"kind": kind}) as rec:
        if o.watch:
            rec.watch(net, opt)
        n, over = 0, False
        for e in range({"late": 22, "rate_finder": 8}.get(kind, 10)):
            for r in torch.randperm(len(x)).split(50):
                if kind == "rate_finder":
                    opt.param_groups[0]["lr"] = 1e-6 * 1.1 ** n
                h = net[1](net[0](x[r]))
                out = net(x[r])
                loss = F.cross_entropy(out, y[r])
                extra = {}
                if kind == "adversarial":
                    hb = torch.cat([h, net[1](net[0](tx[r]))])
                    d = F.cross_entropy(dom(hb if o.fault else Reverse.apply(hb)), torch.arange(2).repeat_interleave(len(r)))
                    extra = dict(domain_loss=d.item())
                    total = loss + .5 * d
                else:
                    total = loss
                opt.zero_grad()
                if kind == "scaled":
                    (total * 1024).backward()
                    if not o.fault:
                        for p in net.parameters():
                            p.grad /= 1024
                    g = nn.utils.clip_grad_norm_(net.parameters(), .02 if o.fault else 5.)
                    if n != 7:
                        opt.step()
                    extra = dict(grad_norm=g.item())
                else:
                    total.backward()
                    opt.step()
                n += 1
                rec.step(loss=total.item(), lr=opt.param_groups[0]["lr"], **extra)
                best = min(best, loss.item())
                if kind == "rate_finder" and loss.item() > 4 * best:
                    over = True
                    break
            if over:
                break
            if kind != "rate_finder":
                vl, va = ev()
                rec.epoch(e, val_loss=vl, val_acc=va)
    vl, va = ev()
    facts(score=va, trivial=torch.bincount(vy).max() / len(vy), best=best, steps=n)


if __name__ == "__main__":
    main()
