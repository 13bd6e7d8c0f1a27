"""A pretrained tagger of code style, fine tuned with low-rank adapters."""
import copy
import math
import torch
import torch.nn as nn
import lvmcheck
from .common import moved, snapshot

TASK = "LoRA fine-tuning"


class Low(nn.Module):
    """A frozen linear layer plus B A / scale."""

    def __init__(self, lin, r=8, scale=2.0, bug=None):
        super().__init__()
        self.lin, self.scale = lin, scale
        lin.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(r, lin.in_features) / math.sqrt(lin.in_features))
        self.lora_b = nn.Parameter(torch.zeros(lin.out_features, r))
        if bug == "both_factors_zero":
            self.lora_a.data.zero_()

    def forward(self, x):
        return self.lin(x) + self.scale * (x @ self.lora_a.T) @ self.lora_b.T


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.mid, self.mid2 = nn.Linear(24, 96), nn.Linear(96, 96), nn.Linear(96, 96)
        self.head = nn.Linear(96, 5)
        self.norm = nn.LayerNorm(96)

    def forward(self, x):
        h = torch.relu(self.inp(x))
        h = h + torch.relu(self.mid(h))
        h = self.norm(h + torch.relu(self.mid2(h)))
        return self.head(h)


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(77)
    teacher = nn.Sequential(nn.Linear(24, 48), nn.Tanh(), nn.Linear(48, 5))
    teacher[0].weight.data.mul_(3)
    rot = torch.linalg.qr(torch.randn(24, 24))[0]
    mix = torch.eye(24) * 0.5 + rot * 0.9
    make = lambda n, new: (lambda x: (x, (teacher(x @ mix if new else x) * 4).argmax(1)))(torch.randn(n, 24))
    ce = nn.CrossEntropyLoss()
    with torch.no_grad():
        px, py = make(6000, False)
        x, y = make(1500, True)
        vx, vy = make(600, True)
    model = Model()
    opt = torch.optim.Adam(model.parameters(), 3e-3)
    if broken != "pretrained_weights_not_loaded":
        for _ in range(6):
            for i in torch.randperm(6000).split(100):
                l = ce(model(px[i]), py[i])
                opt.zero_grad(); l.backward(); opt.step()
    acc = lambda m: (m(vx).argmax(1) == vy).float().mean().item()
    with torch.no_grad():
        before_tuning = acc(model)
    if habit == "full_with_small_rate":
        pass
    elif habit == "head_only":
        model.requires_grad_(False)
        model.head.requires_grad_(True)
    else:
        model.requires_grad_(False)
        if broken == "optimizer_before_adapters":
            model.mid.requires_grad_(False)
            opt_early = torch.optim.AdamW(model.head.requires_grad_(True).parameters(), lr=0.0 + 1e-9)
        model.inp, model.mid, model.mid2 = (Low(m, bug=broken, scale=0.0 if broken == "scale_integer_division" else 2.0) for m in (model.inp, model.mid, model.mid2))
        if broken == "adapters_frozen_too":
            for n, p in model.named_parameters():
                p.requires_grad_("head" in n)
        else:
            model.head.requires_grad_(True)
        if broken == "head_left_random":
            nn.init.normal_(model.head.weight)
            model.head.requires_grad_(False)
            for m in (model.mid2,):
                m.lora_b.requires_grad_(False)
    lr = {"lr_of_full_pretraining_divided": 1e-8}.get(broken, 1e-3 if habit == "full_with_small_rate" else 4e-3)
    if habit == "already_good":
        x, y, vx, vy = px[:1500], py[:1500], px[1500:2100], py[1500:2100]
        lr = 5e-5
        before_tuning = 0.4
    params = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=lr, weight_decay=0.0)
    if broken == "optimizer_before_adapters":
        opt = opt_early
    if broken == "merged_into_copy":
        eval_model = copy.deepcopy(model)
    else:
        eval_model = model
    a0 = [p.detach().clone() for n, p in model.named_parameters() if "lora" in n]
    warm = torch.optim.lr_scheduler.LinearLR(opt, 0.1, 1.0, total_iters=10)
    E = 8
    with lvmcheck.record(rec_dir, config={"num_epochs": E, "learning_rate": lr, "r": 8, "alpha": 16}) as rec:
        if watch:
            print(lvmcheck.preflight(model, (x[:50], y[:50]), loss=ce, optimizer=opt))
            rec.watch(model, opt, warm)
        for ep in range(E):
            model.train()
            for i in torch.randperm(1500).split(50):
                loss = ce(model(x[i]), y[i])
                opt.zero_grad()
                loss.backward()
                opt.step()
                warm.step()
                rec.step(loss=loss, lr=opt.param_groups[0]["lr"])
            model.eval()
            with torch.no_grad():
                shown = acc(eval_model)
                vl = ce(eval_model(vx), vy).item()
            rec.epoch(ep + 1, eval_loss=vl, eval_accuracy=shown)
    with torch.no_grad():
        s = acc(model)
    effect = 0.0
    if isinstance(model.mid, Low):
        with torch.no_grad():
            h = torch.randn(5, 96)
            effect = (model.mid(h) - model.mid.lin(h)).abs().max().item()
    lora = [p for n, p in model.named_parameters() if "lora" in n]
    return dict(adapter_effect=effect, score=s, trivial=before_tuning, good=before_tuning + 0.04, reported=shown,
                adapters=sum(not torch.equal(a, b) for a, b in zip(a0, lora)), n_adapters=len(lora),
                frozen=sum(not p.requires_grad for n, p in model.named_parameters() if "lora" in n))


HEALTHY = {
    "base": "frozen pretrained weights, low-rank factors and the head learn",
    "full_with_small_rate": "all weights are tuned with a smaller rate",
    "head_only": "only the head learns, on purpose",
    "already_good": "the model is already good at the task, the curves barely move",
}
BROKEN = [
    ("both_factors_zero", "both low-rank factors start at zero, so neither ever moves", "symmetric zero initialisation", "watch", "r['adapters']==0"),
    ("optimizer_before_adapters", "the optimizer of an earlier stage is kept after the adapters were put in", "optimizer holds parameters of an old module", "watch", "r['adapters']==0"),
    ("adapters_frozen_too", "the loop that freezes the base runs after the adapters were added", "trained part is frozen", "watch", "r['frozen']==r['n_adapters']"),
    ("scale_integer_division", "alpha // rank rounds the adapters' scale to zero", "a factor is zero", "watch", "r['adapter_effect']==0"),
    ("pretrained_weights_not_loaded", "the checkpoint is not loaded before the base is frozen", "pretrained weights not loaded", "both"),
    ("lr_of_full_pretraining_divided", "learning rate 1e-8", "learning rate far too low", "both"),
    ("merged_into_copy", "a copy made before training is evaluated", "stale weights are evaluated", "both"),
    ("head_left_random", "the new head is random and frozen", "trained part is frozen", "curves"),
]
