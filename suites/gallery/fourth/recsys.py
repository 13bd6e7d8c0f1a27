"""Ratings from user and item vectors."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
import lvmcheck

TASK = "recommender with embeddings"


class MF(nn.Module):
    def __init__(self, nu, ni, k=12, sparse=False):
        super().__init__()
        self.u, self.i = nn.Embedding(nu, k, sparse=sparse), nn.Embedding(ni, k, sparse=sparse)
        self.bu, self.bi = nn.Embedding(nu, 1, sparse=sparse), nn.Embedding(ni, 1, sparse=sparse)
        self.mu = nn.Parameter(torch.zeros(()))
        for e in (self.u, self.i):
            nn.init.normal_(e.weight, std=.1)
        for e in (self.bu, self.bi):
            nn.init.zeros_(e.weight)

    def forward(self, ui):
        u, i = ui[:, 0], ui[:, 1]
        return self.mu + self.bu(u)[:, 0] + self.bi(i)[:, 0] + (self.u(u) * self.i(i)).sum(1)


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(90)
    NU, NI, n = 400, 400, 24000
    tu, ti = torch.randn(NU, 4), torch.randn(NI, 4)
    bu, bi = torch.randn(NU) * .5, torch.randn(NI) * .5
    pairs = torch.stack([torch.randint(0, NU, (n,)), torch.randint(0, NI, (n,))], 1)
    pairs = pairs[torch.unique(pairs[:, 0] * NI + pairs[:, 1], return_inverse=True)[1].argsort()]
    pairs = pairs[torch.randperm(n)]
    rate = (3.2 + bu[pairs[:, 0]] + bi[pairs[:, 1]] + (tu[pairs[:, 0]] * ti[pairs[:, 1]]).sum(1) * .5 + .3 * torch.randn(n)).clamp(1, 5)
    cut = 20000
    P, R, VP, VR = pairs[:cut], rate[:cut], pairs[cut:], rate[cut:]
    if broken == "split_overlaps":
        P, R = torch.cat([P[:16000], VP]), torch.cat([R[:16000], VR])
    if broken == "columns_swapped_in_training":
        P = P.flip(1)
    if broken == "ratings_to_integers_of_zero_one":
        R = (R / 5).long().float() * 5
    if broken == "item_ids_reindexed":
        VP = torch.stack([VP[:, 0], (VP[:, 1] + 1) % NI], 1)
    if broken == "all_rows_of_one_user":
        P = P.clone(); P[:, 0] = 0
    model = MF(NU, NI, sparse=habit == "sparse_optimizer")
    if habit != "mean_not_set":
        model.mu.data.fill_(3.2)
    if habit == "sparse_optimizer":
        opt = [torch.optim.SparseAdam([p for nme, p in model.named_parameters() if nme != "mu"], lr=.02), torch.optim.Adam([model.mu], lr=.01)]
    elif broken == "embeddings_not_in_optimizer":
        opt = [torch.optim.Adam([model.mu, *model.bu.parameters(), *model.bi.parameters()], lr=.02)]
    else:
        opt = [torch.optim.Adam(model.parameters(), lr=.02, weight_decay={"decay_wipes_embeddings": 10.}.get(broken, 1e-5))]
    ud = model.u.weight.detach().clone()
    tl = DataLoader(TensorDataset(P, R), 500, shuffle=True)
    vl = DataLoader(TensorDataset(VP, VR), 1000)
    E, best = 14, (9, None)
    patience = 0
    with lvmcheck.record(rec_dir, config={"epochs": E, "lr": .02, "dim": 12}) as rec:
        if watch:
            w = rec.watch(model, opt if len(opt) > 1 else opt[0], train=tl, val=vl)
            tl, vl = w.train, w.val
        it = iter(tl)
        for e in range(E):
            source = it if broken == "iterator_exhausted" else tl
            for p, r in source:
                out = model(p)
                if broken == "sigmoid_on_ratings":
                    out = out.sigmoid()
                loss = F.mse_loss(out, r)
                if habit == "explicit_penalty":
                    loss = loss + 2e-3 * (model.u(p[:, 0]).pow(2).sum(1) + model.i(p[:, 1]).pow(2).sum(1)).mean()
                for o in opt: o.zero_grad()
                loss.backward()
                for o in opt: o.step()
                rec.step(loss=loss)
            with torch.no_grad():
                pv = torch.cat([model(p) for p, _ in vl]); rv = torch.cat([r for _, r in vl])
                if broken == "sigmoid_on_ratings":
                    pv = pv.sigmoid()
                rm = F.mse_loss(pv, rv).sqrt().item()
            rec.epoch(e, val_rmse=rm, val_mae=(pv - rv).abs().mean())
            patience = 0 if rm < best[0] else patience + 1
            best = (min(best[0], rm), None)
            if habit == "early_stop_at_two" and patience >= 2:
                rec.note("stopped early: no better for two epochs")
                break
    with torch.no_grad():
        out = model(pairs[cut:])
        s = F.mse_loss(out.sigmoid() if broken == "sigmoid_on_ratings" else out, rate[cut:]).sqrt().item()
    return dict(score=-s, trivial=-rate.std().item(), good=-0.8 * rate.std().item(), reported=-rm, u=not torch.equal(ud, model.u.weight))


HEALTHY = {
    "base": "matrix factorisation, the last epochs overfit a little",
    "sparse_optimizer": "a sparse optimizer for embeddings, another for the mean",
    "early_stop_at_two": "a rule stops early",
    "explicit_penalty": "a penalty on the vectors grows as they do",
    "mean_not_set": "the mean has to be learned",
}
BROKEN = [
    ("split_overlaps", "the validation rows are among the training rows", "duplicates across the split", "watch", "r['score']>b['score']+0.1"),
    ("columns_swapped_in_training", "user and item columns are swapped in training", "columns swapped", "curves"),
    ("ratings_to_integers_of_zero_one", "integer conversion makes nearly every rating zero", "targets truncated to integers", "both"),
    ("item_ids_reindexed", "validation items are counted from 1, training items from 0", "vocabularies of training and validation differ", "curves"),
    ("all_rows_of_one_user", "the user column is overwritten by zero", "an input is constant", "curves"),
    ("embeddings_not_in_optimizer", "the vectors are in no optimizer", "part of the model is missing from the optimizer", "watch", "not r['u']"),
    ("decay_wipes_embeddings", "weight decay of 10 in Adam", "weight decay far too strong", "both"),
    ("iterator_exhausted", "one iterator is made before the epochs and is empty after the first", "no training after the first epoch", "both"),
    ("sigmoid_on_ratings", "a sigmoid keeps predictions of one to five below one", "output range does not cover the targets", "both"),
]
