"""Self-supervised views of rows, a slow target, linear probe."""
import copy
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "self-supervised (BYOL)"
FAULTS = {
    "no_stop_gradient": ("one network on both sides, no predictor, no stop-gradient: it collapses", ["collapsed_representation", "outputs_collapsed"], True),
    "target_fixed": ("the slow target is never updated", ["copy_never_updated"], True),
    "views_equal": ("the noise of the views is drawn once for the whole run", ["augmentation_frozen"], True),
    "ema_reversed": ("target = 0.01 target + 0.99 online, and the predictor was forgotten", ["collapsed_representation", "outputs_collapsed", "copy_never_updated"], True),
    "predictor_left_out": ("the predictor is not in the optimizer", ["parameters_not_optimized"], True),
}
HABITS = {"": "cosine loss that may rise; probe accuracy"}


def main():
    o = options()
    torch.manual_seed(110)
    c = torch.randn(8, 10)
    y = torch.randint(0, 8, (2000,))
    W = torch.randn(10, 50) / 3
    N = torch.randn(8, 50) * .7
    x = ((c[y] + .4 * torch.randn(2000, 10)) @ W).tanh() + torch.randn(2000, 8) @ N
    enc = nn.Sequential(nn.Linear(50, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 16))
    pred = nn.Identity() if o.fault in ("no_stop_gradient", "ema_reversed") else nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16))
    if o.fault in ("no_stop_gradient", "ema_reversed"):
        enc = nn.Sequential(nn.Linear(50, 64), nn.ReLU(), nn.Linear(64, 16))
    online = nn.Sequential(enc, pred)
    target = copy.deepcopy(enc).requires_grad_(False)
    opt = torch.optim.Adam(enc.parameters() if o.fault == "predictor_left_out" else online.parameters(), lr=2e-3)
    fixed = torch.randn(2, 2000, 8) @ N

    def views(r):
        if o.fault == "views_equal":
            return x[r] + fixed[0, r], x[r] + fixed[1, r]
        return [x[r] + torch.randn(len(r), 8) @ N + .1 * torch.randn(len(r), 50) for _ in range(2)]

    @torch.no_grad()
    def probe():
        enc.eval()
        z = enc(x)
        enc.train()
        z = torch.cat([F.normalize(z - z[:1500].mean(0), dim=1), torch.ones(2000, 1)], 1)
        sol = torch.linalg.solve(z[:1500].T @ z[:1500] + 1e-2 * torch.eye(17), z[:1500].T @ F.one_hot(y[:1500], 8).float())
        return ((z[1500:] @ sol).argmax(1) == y[1500:]).float().mean(), F.normalize(z[:, :16], dim=1).std(0).mean()
    with lvmcheck.record(o.out, config={"tau": .98}) as rec:
        if o.watch:
            rec.watch(online, opt)
        start = probe()[0]
        for e in range(1, 9):
            for r in torch.randperm(1500).split(75):
                a, b = views(r)
                if o.fault == "no_stop_gradient":
                    loss = 2 - 2 * F.cosine_similarity(online(a), online(b)).mean()
                else:
                    with torch.no_grad():
                        tb = target(b)
                    loss = 2 - 2 * F.cosine_similarity(online(a), tb).mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
                m = {"target_fixed": 1., "ema_reversed": .01}.get(o.fault, .98)
                with torch.no_grad():
                    for p, q in zip(target.parameters(), enc.parameters()):
                        p.mul_(m).add_(q, alpha=1 - m)
                rec.step(loss=loss.item())
            acc, _ = probe()
            with torch.no_grad():
                enc.eval()
                spread = F.normalize(enc(x[:500]), dim=1).std(0).mean()
                enc.train()
            rec.epoch(e, probe_accuracy=acc, embedding_std=spread)
    facts(score=acc, trivial=start, spread=spread)


if __name__ == "__main__":
    main()
