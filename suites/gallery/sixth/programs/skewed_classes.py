"""Five classes of machine faults in a table, 64 / 20 / 10 / 4 / 2 %."""
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
import lvmcheck
from common import options, facts

TASK = "tabular classification, imbalanced"
FAULTS = {
    "weights_of_classes": ("WeightedRandomSampler is given one weight per class in place of one per row: only rows 0 to 4 are drawn", ["duplicated_rows", "one_batch_repeated", "memorisation", "overfitting"], True),
    "weights_upside_down": ("class weights are the shares of the classes squared, not their inverse", ["class_imbalance", "other_term_weight"], False),
    "softmax_and_ce": ("the model ends in a softmax, cross entropy takes another", ["softmax_too_many"], True),
    "id_column": ("the row number of the table sorted by class is left among the features", ["label_leak", "target_leak"], False),
    "zero_init": ("all weights and biases are initialised with 0", ["units_equal", "not_learning", "outputs_collapsed", "class_imbalance", "begins_at_zero"], True),
    "dead_relu": ("biases of the hidden layers start at -8", ["units_dead", "not_learning", "class_imbalance", "outputs_collapsed"], True),
}
HABITS = {"": "balanced accuracy of rare classes", "focal": "focal loss, small values", "balanced_sampler": "rows drawn with inverse class frequency: training loss and validation loss are not comparable"}


def balanced(out, y):
    return torch.stack([(out[y == k].argmax(1) == k).float().mean() for k in range(5)]).mean()


def main():
    o = options()
    torch.manual_seed(7)
    n = 6000
    y = torch.multinomial(torch.tensor([.64, .2, .1, .04, .02]), n, replacement=True)
    centres = torch.randn(5, 16) * .75
    x = centres[y] + torch.randn(n, 16)
    x[:, 3] = x[:, 3] * x[:, 4]
    if o.fault == "id_column":
        number = torch.empty(n)
        number[y.argsort()] = torch.arange(n).float()
        x = torch.cat([x, ((number - n / 2) / n * 3.5)[:, None]], 1)
    tx, ty, vx, vy = x[:4500], y[:4500], x[4500:], y[4500:]
    share = torch.bincount(ty, minlength=5) / len(ty)
    sampler = None
    if o.fault == "weights_of_classes":
        sampler = WeightedRandomSampler(1 / share, len(ty))
    elif o.habit == "balanced_sampler":
        sampler = WeightedRandomSampler((1 / share)[ty], len(ty))
    loader = DataLoader(TensorDataset(tx, ty), batch_size=64, sampler=sampler, shuffle=sampler is None)
    val = DataLoader(TensorDataset(vx, vy), batch_size=500)
    model = nn.Sequential(nn.Linear(x.shape[1], 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 5))
    if o.fault == "softmax_and_ce":
        model.append(nn.Softmax(dim=1))
    for m in model:
        if isinstance(m, nn.Linear):
            if o.fault == "zero_init":
                nn.init.zeros_(m.weight)
                nn.init.zeros_(m.bias)
            if o.fault == "dead_relu" and m.out_features == 48:
                nn.init.constant_(m.bias, -8)
    weight = None if sampler is not None else (1 / share).sqrt() / (1 / share).sqrt().mean()
    if o.fault == "weights_upside_down":
        weight = share ** 2 / (share ** 2).mean()
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)

    def criterion(out, y):
        if o.habit == "focal":
            lp = F.log_softmax(out, 1).gather(1, y[:, None])[:, 0]
            return (-(1 - lp.exp()) ** 2 * lp).mean()
        return F.cross_entropy(out, y, weight=weight)

    with lvmcheck.record(o.out, config={"epochs": 8, "lr": 2e-3}, seed=7) as rec:
        if o.watch:
            rec.watch(model, opt, train=loader, val=val)
        for epoch in range(8):
            for bx, by in loader:
                out = model(bx)
                loss = criterion(out, by)
                opt.zero_grad(set_to_none=True)
                loss.backward()
                opt.step()
                rec.step(loss=loss.detach(), lr=opt.param_groups[0]["lr"])
            model.eval()
            with torch.no_grad():
                out = torch.cat([model(bx) for bx, _ in val])
            model.train()
            rec.epoch(epoch, val_loss=F.cross_entropy(out, vy), val_balanced_accuracy=balanced(out, vy), val_accuracy=(out.argmax(1) == vy).float().mean())
    facts(score=balanced(out, vy), trivial=.2, acc=(out.argmax(1) == vy).float().mean(), majority=share[0])


if __name__ == "__main__":
    main()
