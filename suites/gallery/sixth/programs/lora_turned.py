"""A net trained on digits is adapted to digits turned by 90 degrees with low-rank adapters."""
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
import lvmcheck
from common import options, facts, real

TASK = "low-rank adaptation"
FAULTS = {
    "both_zero": ("A and B are both initialised with 0", ["begins_at_zero", "weights_never_move", "not_learning", "units_equal"], True),
    "optimizer_before_adapters": ("the optimizer is made before the adapters are put in", ["parameters_not_optimized", "weights_never_move", "optimizer_of_former_model"], True),
    "rate_of_full_tuning": ("learning rate 2e-6", ["learning_rate_too_low", "undertrained", "not_learning"], True),
    "best_is_last": ("best = model.state_dict() without a copy, the last epochs have a broken rate", ["best_aliases_last", "learning_rate_too_high", "diverging"], True),
    "alpha_in_percent": ("alpha is given in percent: the adapters are scaled by 200 in place of 2", ["wrong_scale", "learning_rate_too_high", "initial_outputs_too_large", "diverging"], False),
    "turned_train_only": ("validation digits are not turned", ["validation_differs", "validation_transformed"], False),
}
HABITS = {"": "frozen body, adapters of rank 4", "two_epochs": "two epochs only", "whole_body_gently": "all weights are trained, learning rate 1.5e-3, best epoch kept by a copy"}


class Lora(nn.Module):
    def __init__(self, base, fault, r=4, alpha=8):
        super().__init__()
        self.base = base
        self.a = nn.Parameter(torch.zeros(r, base.in_features) if fault == "both_zero" else torch.randn(r, base.in_features) / base.in_features ** .5)
        self.b = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale = 100 * alpha / r if fault == "alpha_in_percent" else alpha / r

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.a.T @ self.b.T)


def main():
    o = options()
    torch.manual_seed(16)
    d = real()
    order = torch.randperm(1797)
    x, y = torch.from_numpy(d["digits"]).float()[order] / 16, torch.from_numpy(d["digit_label"]).long()[order]
    model = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 10))
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(12):
        for rows in torch.randperm(800).split(64):
            opt.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            opt.step()
    turned = torch.rot90(x.view(-1, 8, 8), 1, (1, 2)).reshape(-1, 64)
    tx, ty, vx, vy = turned[800:1400], y[800:1400], turned[1400:], y[1400:]
    if o.fault == "turned_train_only":
        vx = x[1400:]
    train, val = DataLoader(TensorDataset(tx, ty), batch_size=32, shuffle=True), DataLoader(TensorDataset(vx, vy), batch_size=128)
    lr = 2e-6 if o.fault == "rate_of_full_tuning" else 1.5e-3 if o.habit == "whole_body_gently" else 4e-3
    early = torch.optim.Adam(model.parameters(), lr=lr)
    if o.habit != "whole_body_gently":
        model.requires_grad_(False)
        for i in (0, 2, 4):
            model[i] = Lora(model[i], o.fault)
    opt = early if o.fault == "optimizer_before_adapters" or o.habit == "whole_body_gently" else torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
    epochs = 2 if o.habit == "two_epochs" else 12
    best, best_state = 0., None
    with lvmcheck.record(o.out, config={"epochs": epochs, "lr": lr, "rank": 4}) as rec:
        if o.watch:
            rec.watch(model, opt, train=train, val=val)
        for epoch in range(1, epochs + 1):
            if o.fault == "best_is_last" and epoch == 10:
                opt.param_groups[0]["lr"] = lr = .25
            for bx, by in train:
                loss = F.cross_entropy(model(bx), by)
                opt.zero_grad()
                loss.backward()
                opt.step()
                rec.step(loss=loss.detach(), lr=lr)
            model.eval()
            with torch.no_grad():
                out = torch.cat([model(bx) for bx, _ in val])
            model.train()
            acc = (out.argmax(1) == vy).float().mean().item()
            rec.epoch(epoch, val_loss=F.cross_entropy(out, vy), val_accuracy=acc)
            if acc > best:
                best = acc
                best_state = model.state_dict() if o.fault == "best_is_last" else {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(best_state)
    with torch.no_grad():
        final = (model(vx).argmax(1) == vy).float().mean()
    facts(score=final, trivial=.1, best=best, last=acc)


if __name__ == "__main__":
    main()
