"""Implicit feedback: BPR with sampled negatives, leave one out, HR@10 in percent."""
import io

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck
from common import options

torch.set_num_threads(1)
torch.manual_seed(8)
o = options()

USERS, ITEMS, DIM = 500, 300, 16
EPOCHS, LR, BATCH = 12, 6e-3, 256


def interactions():
    taste, style = torch.randn(USERS, 5), torch.randn(ITEMS, 5)
    fame = 1.0 * torch.randn(ITEMS)
    score = 1.3 * taste @ style.T + fame + 1.0 * -torch.log(-torch.log(torch.rand(USERS, ITEMS).clamp(1e-9, 1 - 1e-9)))
    return [score[u].topk(int(torch.randint(8, 25, (1,)))).indices for u in range(USERS)]


history = [h[torch.randperm(len(h))] for h in interactions()]
held = torch.stack([h[-1] for h in history])
seen = torch.zeros(USERS, ITEMS, dtype=torch.bool)
pairs = []
for u, h in enumerate(history):
    kept = h if o.fault == "held_in_train" else h[:-1]
    seen[u, kept] = True
    pairs += [(u, int(i)) for i in kept]
pairs = torch.tensor(pairs)


class MF(nn.Module):
    def __init__(self):
        super().__init__()
        self.user = nn.Embedding(USERS, DIM)
        self.item = nn.Embedding(ITEMS, DIM)
        self.bias = nn.Embedding(ITEMS, 1)
        if o.fault != "default_init":
            nn.init.normal_(self.user.weight, std=0.1)
            nn.init.normal_(self.item.weight, std=0.1)
        nn.init.zeros_(self.bias.weight)

    def forward(self, u, i):
        return (self.user(u) * self.item(i)).sum(-1) + self.bias(i).squeeze(-1)


def negatives(u):
    j = torch.randint(ITEMS, u.shape)
    for _ in range(3):
        bad = seen[u, j]
        j = torch.where(bad, torch.randint(ITEMS, u.shape), j)
    return j


def hit_rate(model):
    """Rank of the held-out item among 99 unseen ones."""
    model.eval()
    with torch.no_grad():
        g = torch.Generator().manual_seed(0)
        u = torch.arange(USERS)
        other = torch.where(seen, -1.0, torch.rand(USERS, ITEMS, generator=g)).scatter(1, held[:, None], -1.0).topk(99).indices
        cand = torch.cat([held[:, None], other], 1)
        if o.fault == "item_offset":
            cand = (cand + 1) % ITEMS  # ids in the ratings file begin at 1
        score = model(u[:, None].expand_as(cand), cand)
        rank = (score[:, 1:] >= score[:, :1]).sum(1)
    model.train()
    return 100 * (rank < 10).float().mean().item(), (1 / (rank + 2).float().log2()).mul(rank < 10).mean().item()


def optimizers(model):
    if o.habit == "two_optimizers":
        return [torch.optim.Adam([model.user.weight, model.item.weight], lr=LR), torch.optim.SGD([model.bias.weight], lr=1.0)]
    return [torch.optim.Adam(model.parameters(), lr=LR)]


model = MF()
opts = optimizers(model)
fixed = negatives(pairs[:, 0])
start = 1
if o.habit == "resumed" or o.fault == "resume_lost":
    # an earlier session of five epochs, from its checkpoint
    for _ in range(5):
        for rows in torch.randperm(len(pairs)).split(BATCH):
            u, i = pairs[rows].T
            loss = -F.logsigmoid(model(u, i) - model(u, negatives(u))).mean()
            opts[0].zero_grad()
            loss.backward()
            opts[0].step()
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": opts[0].state_dict(), "epoch": 5}, file)
    file.seek(0)
    state = torch.load(file)
    model = MF()
    opts = optimizers(model)
    if o.fault == "resume_lost":
        model.load_state_dict({"module." + k: v for k, v in state["model"].items()}, strict=False)
    else:
        model.load_state_dict(state["model"])
    opts[0].load_state_dict(state["optimizer"])
    start = 6

with lvmcheck.record(o.out, config={"epochs": EPOCHS, "lr": LR, "batch_size": BATCH, "dim": DIM, "start_epoch": start}, **o.extra) as rec:
    for epoch in range(start, EPOCHS + 1):
        total = n = 0
        order = torch.randperm(len(pairs))
        for rows in order.split(BATCH):
            u, i = pairs[rows].T
            j = fixed[rows] if o.fault == "fixed_negatives" else negatives(u)
            if o.fault == "negatives_positive":
                j = pairs[order[torch.randint(len(order), (len(rows),))], 1]
                j = torch.where(torch.rand(len(rows)) < 0.5, i, j)
            pos, neg = model(u, i), model(u, j)
            if o.fault == "sign":
                loss = -F.logsigmoid(neg - pos).mean()
            else:
                loss = -F.logsigmoid(pos - neg).mean()
            if o.fault == "l2_table":
                loss = loss + 1e-2 * (model.user.weight**2).sum() + 1e-2 * (model.item.weight**2).sum()
            for opt in opts:
                opt.zero_grad()
            loss.backward()
            for opt in opts:
                opt.step()
            total, n = total + loss.item(), n + 1
            rec.step(loss=loss.item())
        hr, ndcg = hit_rate(model)
        rec.epoch(epoch, bpr=total / n, val_hr10=hr, val_ndcg10=ndcg)
