"""Self-supervised vectors with an EMA target, judged by nearest neighbours."""
import copy
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck
from .common import moved, snapshot

TASK = "self-supervised with an EMA target"


def make(n, g, W):
    y = torch.randint(0, 8, (n,), generator=g)
    z = W[0][y] + 0.5 * torch.randn(n, 8, generator=g)
    x = torch.tanh(z @ W[1]) @ W[2]
    nuis = torch.randn(n, 30, generator=g) * 1.2
    return torch.cat([x, nuis], 1), y


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(60, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, 32))
        self.proj = nn.Sequential(nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))

    def forward(self, x):
        return self.proj(self.body(x))


def knn(enc, x, y, vx, vy):
    enc.eval()
    with torch.no_grad():
        a, b = F.normalize(enc.body(x), dim=1), F.normalize(enc.body(vx), dim=1)
    near = y[(b @ a.T).topk(15, 1).indices]
    enc.train()
    return (near.mode(1).values == vy).float().mean().item()


def main(rec_dir, watch, broken=None, habit=None):
    g = torch.Generator().manual_seed(3)
    torch.manual_seed(3)
    W = (2 * torch.randn(8, 8, generator=g), torch.randn(8, 24, generator=g) / 3, torch.randn(24, 30, generator=g) / 5)
    x, y = make(2000, g, W)
    vx, vy = make(500, g, W)
    online = Encoder()
    predictor = nn.Sequential(nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))
    target = copy.deepcopy(online).requires_grad_(False)
    t0 = snapshot(target)
    opt = torch.optim.Adam([*online.parameters(), *predictor.parameters()], lr=2e-3, weight_decay=1e-5)
    tau = 0.98

    def view(v):
        if broken == "no_augmentation":
            return v
        if broken == "augmentation_destroys":
            return torch.randn_like(v)
        v = torch.cat([v[:, :30] + 0.15 * torch.randn(len(v), 30), torch.randn(len(v), 30) * 1.2], 1)
        return v * (torch.rand_like(v) > 0.1)

    def sim(p, z):
        return 2 - 2 * F.cosine_similarity(p, z, dim=1).mean()

    acc = None
    with lvmcheck.record(rec_dir, config={"epochs": 10, "lr": 2e-3, "tau": tau}) as rec:
        if watch:
            rec.watch(online, opt, train=[(b,) for b in x.split(100)])
        for ep in range(10):
            for idx in torch.randperm(2000).split(100):
                a, b = view(x[idx]), view(x[idx])
                if habit == "negative_cosine":
                    shift = 2.0
                else:
                    shift = 0.0
                if broken == "no_stop_gradient":
                    za, zb = online(a), online(b)
                    loss = sim(za, zb)
                else:
                    with torch.no_grad():
                        ta, tb = target(a), target(b)
                    loss = (sim(predictor(online(a)), tb) + sim(predictor(online(b)), ta)) / 2
                if broken == "loss_negated":
                    loss = -loss
                if broken == "output_of_target":
                    loss = sim(predictor(target(a)), tb)
                if habit == "variance_term":
                    std = online(a).std(0)
                    loss = loss + 0.5 * F.relu(1 - std).mean()
                loss = loss - shift
                opt.zero_grad()
                loss.backward()
                opt.step()
                with torch.no_grad():
                    if broken != "target_never_updated":
                        m = 0.0 if broken == "ema_inverted" else tau
                        for t, o in zip(target.parameters(), online.parameters()):
                            if broken == "ema_copies_backwards":
                                o.mul_(1 - tau).add_(t, alpha=tau)
                            else:
                                t.mul_(m).add_(o, alpha=1 - m)
                rec.step(loss=loss)
            acc = knn(target if broken == "target_never_updated" else online, x, y, vx, vy)
            if habit == "loss_and_spread":
                rec.epoch(ep, feature_std=online(x[:500]).std(0).mean())
            else:
                rec.epoch(ep, knn_acc=acc)
    base = knn(Encoder(), x, y, vx, vy)
    return dict(score=knn(online, x, y, vx, vy), trivial=base, good=base + 0.08, reported=acc, target=moved(t0, target), online=0)


HEALTHY = {
    "base": "predictor, stop-gradient and a slowly moving target",
    "negative_cosine": "the loss is a negative cosine, below zero throughout",
    "variance_term": "a variance term keeps the features apart and holds the loss up",
    "loss_and_spread": "no accuracy, only the spread of the features",
}
BROKEN = [
    ("no_augmentation", "both views are the same input", "augmentation does nothing", "both", "r['score']<b['score']-0.02"),
    ("augmentation_destroys", "the augmentation returns noise in place of the input plus noise", "inputs carry no information", "curves"),
    ("no_stop_gradient", "both sides come from the online net without predictor or stop-gradient", "missing stop-gradient, collapse", "both"),
    ("loss_negated", "the similarity is pushed down", "loss has the wrong sign", "both"),
    ("output_of_target", "the predictor is fed by the frozen target in place of the online net", "wrong module used", "watch"),
    ("target_never_updated", "the EMA update is missing, and the target is what is evaluated", "target network never updated", "both", "r['target']==0"),
    ("ema_copies_backwards", "the EMA is written into the online net from the target", "EMA in the wrong direction", "both"),
]
