"""Triplet loss on drawn glyphs; recall at 1 of unseen drawings."""
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "siamese triplets"
FAULTS = {
    "positive_is_anchor": ("the positive is the very drawing of the anchor", ["label_leak", "target_leak", "label_mismatch", "validation_differs", "duplicated_rows"], True),
    "negative_pulled": ("distances are exchanged in the hinge: negatives are pulled, positives pushed", ["loss_sign", "collapsed_representation", "outputs_collapsed", "validation_differs", "label_mismatch"], True),
    "names_shuffled": ("the names of the glyphs are shuffled against the drawings", ["label_mismatch", "not_learning", "label_noise", "overfitting", "memorisation", "collapsed_representation"], True),
    "zeros": ("nn.init.zeros_ for every weight", ["begins_at_zero", "weights_never_move", "units_equal", "outputs_collapsed", "collapsed_representation", "loss_constant", "not_learning"], True),
    "root_of_zero": ("distances by sqrt of a sum that is 0 for equal rows", ["numeric_range", "module_makes_nan"], True),
}
HABITS = {"": "random triplets, recall at 1", "hardest": "hardest negatives of the batch: the loss stays near the margin"}


def main():
    o = options()
    rng = np.random.default_rng(12)
    torch.manual_seed(12)
    proto = rng.normal(size=(24, 30))
    nuis = rng.normal(size=(6, 30)) * 1.6
    lab = rng.integers(0, 24, 2000)
    x = proto[lab] + rng.normal(size=(2000, 6)) @ nuis + rng.normal(size=(2000, 30)) * .4
    x, lab = torch.tensor(x, dtype=torch.float32), torch.tensor(lab)
    tx, tl, vx, vl = x[:1500], lab[:1500], x[1500:], lab[1500:]
    if o.fault == "names_shuffled":
        tl = tl[torch.randperm(1500)]
    if o.fault == "root_of_zero":
        tx[40:44] = tx[40]
        tl[40:44] = tl[40]
    net = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 16))
    if o.fault == "zeros":
        for p in net.parameters():
            nn.init.zeros_(p)
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)

    def dist(a, b):
        s = (a - b).square().sum(-1)
        return s.sqrt() if o.fault == "root_of_zero" else (s + 1e-9).sqrt()

    def embed(b):
        z = net(b)
        return z if o.fault == "zeros" else F.normalize(z, dim=1)
    groups = [torch.where(tl == c)[0] for c in range(24)]
    recall = lambda: (vl[(torch.cdist(embed(vx), embed(vx)) + 99 * torch.eye(500)).argmin(1)] == vl).float().mean()
    with lvmcheck.record(o.out, config={"margin": .3, "epochs": 10}) as rec:
        if o.watch:
            rec.watch(net, opt)
        for e in range(10):
            L = []
            for a in torch.randperm(1500).split(75):
                p = a if o.fault == "positive_is_anchor" else torch.stack([groups[c][torch.randint(len(groups[c]), ())] for c in tl[a]])
                n = torch.randint(0, 1500, (len(a),))
                clash = tl[n] == tl[a]
                n[clash] = torch.stack([torch.where(tl != c)[0][torch.randint(900, ())] for c in tl[a][clash]]) if clash.any() else n[clash]
                z = embed(torch.cat([tx[a], tx[p], tx[n]]))
                za, zp, zn = z.chunk(3)
                dp, dn = dist(za, zp), dist(za, zn)
                if o.habit == "hardest":
                    D = torch.cdist(za, za) + 9 * (tl[a][:, None] == tl[a][None])
                    dn = D.min(1).values
                loss = F.relu(dn - dp + .3).mean() if o.fault == "negative_pulled" else F.relu(dp - dn + .3).mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
                L.append(loss.item())
                rec.step(loss=L[-1])
            net.eval()
            with torch.no_grad():
                r1 = recall()
            net.train()
            rec.epoch(e + 1, triplet_loss=sum(L) / len(L), recall_at_1=r1)
    with torch.no_grad():
        raw = (vl[(torch.cdist(vx, vx) + 999 * torch.eye(500)).argmin(1)] == vl).float().mean()
    facts(score=r1, trivial=raw)


if __name__ == "__main__":
    main()
