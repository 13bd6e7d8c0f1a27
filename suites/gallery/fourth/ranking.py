"""Learning to rank documents of a query: listwise softmax, NDCG."""
import torch
import torch.nn as nn
import lvmcheck

TASK = "ranking"


def queries(n, gen):
    docs = torch.randn(n, 10, 16, generator=gen)
    q = torch.randn(n, 8, generator=gen)
    util = (docs[..., :8] * q[:, None]).sum(-1) * .6 + docs[..., 8] + .5 * torch.randn(n, 10, generator=gen)
    rel = torch.bucketize(util, torch.tensor([-0.5, 1., 2.5])).float()
    return torch.cat([docs, q[:, None].expand(-1, 10, -1)], -1), rel


def ndcg(s, rel):
    disc = 1 / torch.log2(torch.arange(10) + 2.)
    dcg = lambda r: ((2 ** r - 1) * disc).sum(-1)
    best = dcg(rel.sort(-1, descending=True)[0])
    got = dcg(rel.gather(-1, s.argsort(-1, descending=True)))
    return (got / best.clamp(min=1e-9))[best > 0].mean().item()


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(24, 96), nn.ReLU(), nn.Linear(96, 64), nn.ReLU())
        self.score = nn.Linear(64, 1)

    def forward(self, x):
        return self.score(self.enc(x))[..., 0]


def main(rec_dir, watch, broken=None, habit=None):
    gen = torch.Generator().manual_seed(4); torch.manual_seed(4)
    x, rel = queries(1500, gen); vx, vrel = queries(300, gen)
    ranker = Scorer()
    opts = torch.optim.Adam(ranker.parameters(), 2e-3, betas=(.9, .99))
    per = 30
    nsteps = 600
    warm = 50
    lr_of = lambda i: min(1, (i + 1) / warm)
    if broken == "warmup_never_ends":
        lr_of = lambda i: min(1, (i + 1) / (warm * 100000))
    sch = torch.optim.lr_scheduler.LambdaLR(opts, lr_of)
    result, resets = None, 0
    train_batches = iter([])
    best, best_state = -1, None
    with lvmcheck.record(rec_dir, config={"steps": nsteps, "lr": 2e-3, "queries": per}) as rec:
        if watch:
            lvmcheck.preflight(ranker, (x[:30], rel[:30]), loss=lambda s, t: -(torch.softmax(t, -1) * s.log_softmax(-1)).sum(-1).mean(), optimizer=opts)
            rec.watch(ranker, opts, sch)
        for it in range(nsteps):
            i = torch.randint(0, 1500, (per,))
            xb, rb = x[i], rel[i]
            s = ranker(xb)
            if broken == "softmax_over_queries":
                loss = -(rb.softmax(0) * s.log_softmax(0)).sum(0).mean()
            elif habit == "pairwise_hinge" or broken == "pair_order_swapped":
                d = s[:, :, None] - s[:, None]
                better = rb[:, :, None] > rb[:, None]
                if broken == "pair_order_swapped":
                    better = better.transpose(1, 2)
                loss = torch.relu(1 - d)[better].mean()
            elif broken == "margin_never_active":
                d = s[:, :, None] - s[:, None]
                loss = torch.relu(-1000 - d)[rb[:, :, None] > rb[:, None]].mean()
            else:
                loss = -(rb.softmax(-1) * s.log_softmax(-1)).sum(-1).mean()
            opts.zero_grad()
            loss.backward()
            if broken != "step_forgotten":
                opts.step()
            sch.step()
            rec.step(loss=loss.item(), lr=sch.get_last_lr()[0])
            if broken == "reset_to_first_checkpoint":
                if it == 49:
                    first = {k: v.clone() for k, v in ranker.state_dict().items()}
                if it > 49 and it % 100 == 49:
                    ranker.load_state_dict(first)
                    resets += 1
            if (it + 1) % 50 == 0:
                ranker.eval()
                with torch.no_grad():
                    vs = ranker(vx)
                if broken == "ndcg_of_sorted_labels":
                    result = ndcg(vrel, vrel)
                else:
                    result = ndcg(vs, vrel)
                ranker.train()
                rec.log({"ndcg@10": result}, step=it + 1) if habit != "epochs_of_fifty" else rec.epoch(it // 50, ndcg=result)
    with torch.no_grad():
        honest = ndcg(ranker(vx), vrel)
        trivial = ndcg(torch.rand(vrel.shape, generator=gen), vrel)
    return dict(score=honest, trivial=trivial, good=0.8, reported=result, lr=sch.get_last_lr()[0], resets=resets)


HEALTHY = {
    "base": "listwise softmax, only steps and a figure every 50 of them",
    "pairwise_hinge": "hinge over pairs",
    "epochs_of_fifty": "fifty steps are called an epoch, counted from 0",
}
BROKEN = [
    ("softmax_over_queries", "softmax and targets are normalised over the batch, not over the documents", "softmax over the wrong axis", "curves"),
    ("pair_order_swapped", "the hinge wants worse documents above better ones", "pairs the wrong way round", "both"),
    ("margin_never_active", "the margin has the wrong sign and size, so no pair violates it", "margin that is always met", "both"),
    ("step_forgotten", "optimizer.step() is missing", "the optimizer never steps", "both"),
    ("warmup_never_ends", "warmup over millions of steps in a run of 600", "learning rate stuck in warmup", "both"),
    ("reset_to_first_checkpoint", "every 100 steps the first checkpoint is loaded again", "weights are reset again and again", "both", "r['resets']>=5"),
    ("ndcg_of_sorted_labels", "the labels themselves are passed as scores to the metric", "metric computed from the targets", "curves"),
]
