"""Fine-tune a pretrained encoder on a small new task. JSON lines."""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(41)
D, H = 30, 96
mix = torch.randn(D, D) / D ** 0.5


def task(n, k, spread, seed):
    g = torch.Generator().manual_seed(seed)
    c = torch.randn(k, D, generator=g) * 1.1
    y = torch.randint(0, k, (n,), generator=g)
    x = torch.tanh((c[y] + spread * torch.randn(n, D, generator=g)) @ mix)
    return x, y


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1, self.l2 = nn.Linear(D, H), nn.Linear(H, H)
        self.n1, self.n2 = nn.LayerNorm(H), nn.LayerNorm(H)

    def forward(self, x):
        h = F.gelu(self.n1(self.l1(x)))
        return F.gelu(self.n2(self.l2(h)))


class LoRA(nn.Module):
    def __init__(self, base, r=6):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(r, base.in_features) / base.in_features ** 0.5)
        self.b = nn.Parameter(torch.zeros(base.out_features, r))
        if o.fault == "both_adapters_zero":
            nn.init.zeros_(self.a)

    def forward(self, x):
        return self.base(x) + 2.0 * (x @ self.a.T @ self.b.T)


def pretrain():
    """Many classes, silently: the checkpoint that came from somewhere."""
    x, y = task(3000, 30, 1.0, 1)
    m = nn.Sequential(Encoder(), nn.Linear(H, 30))
    opt = torch.optim.Adam(m.parameters(), lr=3e-3)
    for _ in range(5):
        for rows in torch.randperm(len(x)).split(100):
            loss = F.cross_entropy(m(x[rows]), y[rows])
            opt.zero_grad()
            loss.backward()
            opt.step()
    return {"module." + k: v for k, v in m[0].state_dict().items()}


state = pretrain()
prefix = 0 if o.fault == "checkpoint_prefix" else len("module.")
encoder = Encoder()
encoder.load_state_dict({k[prefix:]: v for k, v in state.items()}, strict=False)
x, y = task(1000, 8, 0.25 if o.habit == "solved_at_once" else 1.5, 2)
xt, yt, xv, yv = x[:600], y[:600], x[600:], y[600:]
if o.fault == "inputs_not_normalised_as_before":
    xt, xv = xt * 40 + 120, xv * 40 + 120
encoder.requires_grad_(False)
head = nn.Linear(H, 8)
lr = 4e-3
if o.habit == "lora" or o.fault == "both_adapters_zero":
    encoder.l1, encoder.l2 = LoRA(encoder.l1), LoRA(encoder.l2)
    if o.fault == "both_adapters_zero":
        head.requires_grad_(False)  # only the adapters are trained
if o.habit == "discriminative_rates" or o.fault == "lr_too_high":
    encoder.requires_grad_(True)
model = nn.Sequential(encoder, head)
if o.fault == "head_frozen_with_the_rest":
    for name, p in model.named_parameters():
        p.requires_grad_("norm" in name or name.startswith("0.n"))
if o.habit == "discriminative_rates":
    opt = torch.optim.AdamW([{"params": encoder.parameters(), "lr": 2e-4}, {"params": head.parameters(), "lr": lr}])
else:
    if o.fault == "lr_too_high":
        lr = 0.15
    opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)

epochs, rec, lines = 8, None, None
if o.watch:
    import lvmcheck
    rec = lvmcheck.record(o.out, config={"classes": 8, "pretrained": True, "lr": lr})
    rec.__enter__()
    rec.watch(model, opt)
else:
    Path(o.out).mkdir(parents=True, exist_ok=True)
    lines = open(Path(o.out) / "metrics.jsonl", "w")
for epoch in range(epochs):
    model.train()
    total = 0
    for rows in torch.randperm(len(xt)).split(30):
        loss = F.cross_entropy(model(xt[rows]), yt[rows])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(rows) / len(xt)
        if rec:
            rec.step(loss=loss)
    model.eval()
    with torch.no_grad():
        z = model(xv)
        row = {"train_loss": total, "val_loss": F.cross_entropy(z, yv).item(), "val_acc": (z.argmax(1) == yv).float().mean().item()}
    if rec:
        rec.epoch(epoch, **row)
    else:
        lines.write(json.dumps({"epoch": epoch, **row}) + "\n")
        lines.flush()
if rec:
    rec.__exit__(None, None, None)
