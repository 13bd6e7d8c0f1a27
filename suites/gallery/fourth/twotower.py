"""Two towers: a line of code and its scrambled words; in-batch contrastive loss."""
import math
import re
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck
from .common import moved, snapshot, source_text

TASK = "contrastive two-tower retrieval"


def lines():
    seen = {}
    for raw in source_text(700_000, skip=10).splitlines():
        w = re.findall(r"[A-Za-z]{2,}", raw)
        if len(w) >= 6:
            seen.setdefault(" ".join(sorted(set(w))), w)
    rows = list(seen.values())[:2600]
    code = lambda w, salt: sum(ord(c) * (31 + salt) ** i for i, c in enumerate(w)) % 1500
    q = torch.tensor([[code(x, 0) for x in (r[::2] * 3)[:5]] for r in rows])
    d = torch.tensor([[code(x, 4) for x in (r[::-1] * 2)[:8]] for r in rows])
    return q, d


class Tower(nn.Module):
    def __init__(self, norm=1):
        super().__init__()
        self.e, self.f = nn.EmbeddingBag(1500, 64), nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 48))
        self.norm = norm

    def forward(self, x):
        return F.normalize(self.f(self.e(x)), dim=self.norm)


class Both(nn.Module):
    def __init__(self, bug):
        super().__init__()
        ax = 0 if bug == "normalised_over_batch" else 1
        self.query, self.doc = Tower(ax), Tower(ax)
        self.log_t = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.bug = bug

    def forward(self, q, d):
        a, b = self.query(q), self.doc(d)
        if self.bug == "document_tower_detached":
            b = b.detach()
        if self.bug == "temperature_multiplied":
            return a @ b.T * 0.0007
        return a @ b.T * self.log_t.exp()


def recall(model, q, d, k=5):
    model.eval()
    with torch.no_grad():
        s = F.normalize(model.query.f(model.query.e(q)), dim=1) @ F.normalize(model.doc.f(model.doc.e(d)), dim=1).T
    return (s.topk(k, 1).indices == torch.arange(len(q))[:, None]).any(1).float().mean().item()


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(12)
    q, d = lines()
    p = torch.randperm(len(q))
    q, d = q[p], d[p]
    n = len(q) - 400
    tq, td, vq, vd = q[:n], d[:n], q[n:], d[n:]
    if broken == "documents_sorted":
        td = td[td[:, 0].argsort()]
    model = Both(broken)
    if broken == "towers_share_by_mistake":
        model.doc = model.query
    if habit == "fixed_temperature":
        model.log_t.requires_grad_(False)
    if broken == "optimizer_before_the_tower":
        opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
        model.doc = Tower()
        s0 = snapshot(model.doc)
    else:
        s0 = snapshot(model.doc)
        opt = torch.optim.AdamW([x for x in model.parameters() if x.requires_grad], lr=3e-3)
    tower_moved = None
    said = None
    bs = 100
    with lvmcheck.record(rec_dir, config={"epochs": 10, "lr": 3e-3, "bs": bs, "dim": 48}) as rec:
        if watch:
            rec.watch(model, opt)
        for epoch in range(10):
            model.train()
            hits = []
            for i in torch.randperm(n).split(bs):
                logits = model(tq[i], td[i])
                y = torch.arange(len(i))
                if broken == "every_label_zero":
                    y = torch.zeros_like(y)
                if broken == "positives_negated":
                    logits = -logits
                loss = (F.cross_entropy(logits, y) + F.cross_entropy(logits.T, y)) / 2
                opt.zero_grad()
                loss.backward()
                opt.step()
                hits.append((logits.argmax(1) == y).float().mean())
                rec.step(loss=loss, in_batch_acc=hits[-1])
            if broken == "validates_with_the_same_side":
                with torch.no_grad():
                    z = model.query(vq)
                    said = ((z @ z.T).topk(5, 1).indices == torch.arange(400)[:, None]).any(1).float().mean().item()
            else:
                said = recall(model, vq, vd)
            rec.epoch(epoch, **{"in_batch_acc": torch.stack(hits).mean(), "recall@5": said})
    return dict(score=recall(model, vq, vd), trivial=5 / 400, good=0.2, reported=said, doc=moved(s0, model.doc), same=model.doc is model.query)


HEALTHY = {
    "base": "learnable temperature, the loss starts near the log of the batch size",
    "fixed_temperature": "the temperature is frozen on purpose",
}
BROKEN = [
    ("normalised_over_batch", "embeddings are normalised over the batch axis in training", "normalised over the wrong axis", "curves"),
    ("document_tower_detached", "the document tower is detached", "part of the graph is detached", "watch", "r['doc']==0"),
    ("temperature_multiplied", "similarities are multiplied by a tiny temperature in place of divided", "temperature upside down", "both"),
    ("documents_sorted", "documents are sorted, queries are not", "inputs do not belong to their targets", "both"),
    ("towers_share_by_mistake", "both towers are one object though their vocabularies differ", "wrong module used", "watch", "r['same']"),
    ("optimizer_before_the_tower", "the document tower is replaced after the optimizer was made", "optimizer holds parameters of an old module", "watch", "r['doc']==0"),
    ("every_label_zero", "the positive is always row 0 of the batch", "constant targets", "both"),
    ("positives_negated", "distances are used as if they were similarities", "similarity has the wrong sign", "curves"),
    ("validates_with_the_same_side", "validation compares queries with themselves", "validation compares inputs with themselves", "curves"),
]
