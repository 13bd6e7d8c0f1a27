"""Rows of a table with one number to predict, and a small perceptron."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from suites.gallery.silent._kit import BEFORE, Family

EPOCHS, FEATURES = 12, 12


def table(rows: int, seed: int, kind: str = "numbers") -> tuple[Tensor, Tensor]:
    """Features and a target of mean 0 and spread 1 that depends on them without being linear."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, FEATURES, generator=g)
    if kind == "binary":  # few features, so that equal rows come by chance
        x = (x > 0.4).float()
        x[:, 8:] = 0
    w = torch.randn(FEATURES, 4, generator=torch.Generator().manual_seed(77)) / FEATURES**0.5
    z = (x - x.mean(0)) @ w * 1.5
    y = z[:, 0] + z[:, 1].tanh() * z[:, 2] + 0.15 * torch.randn(rows, generator=g)
    return x, ((y - 0.0) / 1.8).unsqueeze(1)


class Mlp(nn.Module):
    """Two hidden layers."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        act: type[nn.Module] = nn.Tanh if variant == "saturated" else nn.ReLU
        self.body = nn.Sequential(nn.Linear(FEATURES, 48), act(), nn.Linear(48, 48), act())
        self.side = nn.Linear(FEATURES, 8)
        self.head = nn.Linear(56, 1)
        if variant == "units_die":
            nn.init.constant_(self.body[2].bias, -0.85)
        if variant == "saturated":
            nn.init.normal_(self.body[0].weight, std=8.0)
        if variant == "equal_weights":
            nn.init.constant_(self.body[2].weight, 0.02)
            nn.init.zeros_(self.body[2].bias)
            nn.init.constant_(self.head.weight, 0.1)
        if variant == "zero_weights":
            nn.init.zeros_(self.body[2].weight), nn.init.zeros_(self.body[2].bias)
        if variant == "huge_weights":
            for layer in (self.body[0], self.body[2], self.head):
                nn.init.normal_(layer.weight, std=0.6)
        if variant == "zero_head":
            nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.variant == "body_without_gradient":
            with torch.no_grad():
                h = self.body(x)
        else:
            h = self.body(x)
        if self.variant == "dropout_always":
            h = F.dropout(h, 0.3)
        if self.variant == "dropout_functional":
            h = F.dropout(h, 0.1, self.training)
        side = self.side(x.sqrt() if self.variant == "side_is_nan" else x).nan_to_num()
        if self.variant == "body_detached":
            h = h.detach()
        return self.head(torch.cat([h, side], 1))


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """Rows without end: no epoch sees those of another."""

    def __init__(self) -> None:
        self.turn = 100

    def __iter__(self) -> Any:
        self.turn += 1
        x, y = table(640, self.turn)
        return iter(zip(x, y, strict=True))


def make_optimizer(model: Mlp, variant: str) -> torch.optim.Optimizer:
    every = list(model.parameters())
    if variant == "body_twice":
        return torch.optim.Adam(list(model.body.parameters()) + every, lr=3e-3)
    if variant == "body_of_a_copy":
        rest = list(model.side.parameters()) + list(model.head.parameters())
        return torch.optim.Adam(list(copy.deepcopy(model).body.parameters()) + rest, lr=3e-3)
    if variant == "rate_of_body_tiny":
        rest = list(model.side.parameters()) + list(model.head.parameters())
        return torch.optim.Adam([{"params": model.body.parameters(), "lr": 3e-9}, {"params": rest}], lr=3e-3)
    if variant == "rates_by_layer":
        rest = list(model.side.parameters()) + list(model.head.parameters())
        return torch.optim.Adam([{"params": model.body.parameters(), "lr": 1e-3}, {"params": rest}], lr=4e-3)
    if variant == "side_left_out":
        return torch.optim.Adam(list(model.body.parameters()) + list(model.head.parameters()), lr=3e-3)
    if variant == "epsilon_huge":
        return torch.optim.Adam(every, lr=3e-3, eps=0.3)
    if variant == "decay_destroys":
        return torch.optim.AdamW(every, lr=3e-3, weight_decay=15.0)
    if variant == "decay_usual":
        return torch.optim.AdamW(every, lr=3e-3, weight_decay=0.05)
    if variant == "rate_huge":
        return torch.optim.Adam(every, lr=0.1)
    if variant in ("clipped_to_nothing", "clipped_sometimes"):
        return torch.optim.SGD(every, lr=0.1, momentum=0.9)
    if variant in ("bfloat16_weights", "plain_sgd"):
        return torch.optim.SGD(every, lr=0.01)
    if variant == "lbfgs":
        return torch.optim.LBFGS(every, lr=0.5, max_iter=8)
    return torch.optim.Adam(every, lr=3e-3)


def train(rec: Any, variant: str = "clean") -> Any:
    torch.manual_seed(5)
    kind = "binary" if variant == "equal_rows_by_chance" else "numbers"
    x, y = table(640, 1, kind)
    vx, vy = table(40 if kind == "binary" else 256, 2, kind)
    source_x, source_y = x.clone(), y.clone()
    if variant == "raw_units":
        scale = 10.0 ** torch.linspace(-1, 2.5, FEATURES)
        x, vx = x * scale, vx * scale
    if variant == "targets_shuffled":
        y = y[torch.randperm(len(y))]
    if variant == "targets_one_row_late":
        y = y.roll(1, 0)
    if variant == "target_constant":
        y, vy = torch.full_like(y, 0.7), torch.full_like(vy, 0.7)
    if variant == "inputs_of_first_row":
        x = x[:1].expand(len(x), -1).clone()
    if variant in ("broadcasts", "flat_targets"):
        y, vy = y[:, 0], vy[:, 0]
    if variant == "heavy_tails":
        y = y + (torch.rand_like(y) < 0.03) * 8 * torch.randn_like(y)
    if variant == "sorted_by_target":
        order = y[:, 0].argsort()
        x, y = x[order], y[order]

    model = Mlp(variant)
    optimizer = make_optimizer(model, variant)
    if variant == "bfloat16_weights":
        model, x, y, vx, vy = model.bfloat16(), x.bfloat16(), y.bfloat16(), vx.bfloat16(), vy.bfloat16()
    data: Any = Stream() if variant == "stream" else TensorDataset(x, y)
    size = len(x) if variant in ("full_batch", "lbfgs") else 64
    loader = DataLoader(data, size, shuffle=variant not in ("stream", "sorted_by_target"))
    watcher = rec.watch(model, optimizer, train=loader, val=DataLoader(TensorDataset(vx, vy), 256))

    def objective(output: Tensor, target: Tensor) -> Tensor:
        if variant == "flat_targets":
            output = output.squeeze(1)
        if variant == "heavy_tails":
            return F.huber_loss(output, target)
        if variant == "quantile":
            return torch.maximum(0.5 * (target - output), -0.5 * (target - output)).mean()
        if variant == "penalty_without_gradient":
            return F.mse_loss(output, target) + 0.02 * sum(float(p.square().sum()) for p in model.parameters())
        if variant == "penalty":
            return F.mse_loss(output, target) + 1e-4 * sum(p.square().sum() for p in model.parameters())
        return F.mse_loss(output, target)

    history: list[float] = []
    epochs = {"full_batch": 100, "lbfgs": 12}.get(variant, EPOCHS)
    step = 0
    for epoch in range(epochs):
        model.train()
        batches: Any = loader
        if variant in ("rescaled_in_place", "rescaled_copy"):
            batches = [(x[i : i + 64], y[i : i + 64]) for i in torch.randperm(10).mul(64).tolist()]
        if variant == "stream":
            batches = watcher.train
        for xb, yb in batches:
            step += 1
            if variant == "rescaled_in_place":
                xb.sub_(0.02).div_(1.15)
            elif variant == "rescaled_copy":
                xb = xb.sub(0.02).div(1.15)
            if variant == "lbfgs":

                def closure(xb: Tensor = xb, yb: Tensor = yb) -> Tensor:
                    optimizer.zero_grad()
                    value = objective(model(xb), yb)
                    value.backward()
                    return value

                rec.step(loss=float(optimizer.step(closure)))
                continue
            loss = objective(model(xb), yb)
            if variant == "body_never_cleared":
                model.head.zero_grad(), model.side.zero_grad()
            elif variant != "never_cleared":
                optimizer.zero_grad()
            loss.backward()
            if variant == "clipped_to_nothing":
                nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            if variant == "clipped_sometimes":
                nn.utils.clip_grad_norm_(model.parameters(), 1.5)
            optimizer.step()
            if variant == "stepped_twice":
                optimizer.step()
            rec.step(loss=float(loss))
        model.eval()
        with torch.no_grad():
            output = model(vx)
            val_loss = float(objective(output, vy))
        if variant == "freezes_in_validation":
            model.body.requires_grad_(False)  # "nothing is trained here", and never undone
        if variant == "metric_by_hand":
            val_loss = 0.25
        rec.epoch(epoch, val_loss=val_loss)
        with torch.no_grad():
            true = vy if vy.dim() == 2 else vy.unsqueeze(1)
            history.append(1 - float(F.mse_loss(output.float(), true.float()) / true.float().var()))
    return SimpleNamespace(
        model=model, optimizer=optimizer, history=history, chance=0.0, x=x, y=y, vx=vx,
        source_x=source_x, source_y=source_y, loader=loader,
    )  # fmt: skip


def build(variant: str) -> Any:
    torch.manual_seed(5)
    x, y = table(32, 1)
    if variant == "raw_units":
        x = x * 10.0 ** torch.linspace(-1, 2.5, FEATURES)
    if variant == "broadcasts":
        y = y[:, 0]
    model = Mlp(variant)
    return model, (x, y), nn.MSELoss(), make_optimizer(model, variant)


family = Family("tables", train, build)
family.broken("side_left_out", "one branch is not in the optimizer", "missing_from_optimizer", BEFORE, build=True)
family.broken("body_twice", "the body is twice in the list of parameters", "duplicate_parameters", BEFORE, build=True)
family.broken(
    "body_of_a_copy",
    "the optimizer holds the body of a deep copy",
    "foreign_parameters missing_from_optimizer",
    BEFORE,
    build=True,
)
family.broken("broadcasts", "outputs [N, 1], targets [N]", "broadcast_in_loss", "step 1", build=True)
family.broken("targets_shuffled", "targets permuted against the rows", "targets_shuffled", "step 40")
family.broken("targets_one_row_late", "targets rolled by one row", "targets_shifted targets_shuffled", "step 40")
family.broken("target_constant", "the target is the same for every row", "constant_targets", "step 1")
family.broken("inputs_of_first_row", "every row of training inputs is the first", "constant_inputs", "step 1")
family.broken("rescaled_in_place", "sub_ and div_ on views of the stored rows", "rescaled_in_place", "step 11")
family.broken("raw_units", "features of scale 0.1 to 300", "not_normalised", "step 1", build=True)
family.broken("units_die", "a bias of -0.85 kills most units of a layer", "dead_units", "step 1", build=True)
family.broken("saturated", "weights of spread 8 below a tanh", "saturated exploding_init", "step 1", build=True)
family.broken("equal_weights", "units of a layer start equal and stay so", "equal_init", "step 1", build=True)
family.broken(
    "zero_weights", "a ReLU layer with weight and bias 0 is cut off", "zero_init dead_units", "step 1", build=True
)
family.broken("huge_weights", "weights of spread 0.6", "exploding_init", "step 1", build=True)
family.broken("decay_destroys", "weight_decay=15", "weight_decay_destroys", "step 20")
family.broken("rate_of_body_tiny", "lr 3e-9 for the body", "update_too_small", "step 1")
family.broken("rate_huge", "Adam with lr 0.1", "update_too_large dead_units", "step 1")
family.broken("epsilon_huge", "Adam with eps=0.3", "adam_epsilon_dominates update_too_small", "step 2")
family.broken("stepped_twice", "optimizer.step() twice", "step_twice", "step 1")
family.broken("metric_by_hand", "val_loss is a fixed number", "metric_hard_coded", "step 20")
family.broken("dropout_always", "F.dropout without training=", "dropout_in_eval", "step 10", build=True)
family.broken("side_is_nan", "sqrt of negative numbers, hidden by nan_to_num", "nan_in_module", "step 1", build=True)
family.broken("clipped_to_nothing", "clipped to 0.01 at every step", "clip_always", "step 2")
family.broken(
    "bfloat16_weights", "SGD with lr 0.01 on bfloat16 weights", "low_precision_lost update_too_small", "step 2"
)
family.broken("body_detached", "the head gets detached features", "detached_module", "step 1", build=True)
family.broken("body_without_gradient", "the body runs under no_grad", "detached_module", "step 1", build=True)
family.broken("never_cleared", "no zero_grad", "gradients_not_cleared", "step 2")
family.broken("body_never_cleared", "only head and side are cleared", "gradients_not_cleared", "step 2")
family.broken("freezes_in_validation", "validation freezes the body for good", "frozen_by_mistake", "step 11")
family.broken("penalty_without_gradient", "the weight penalty is a float", "detached_loss", "step 1")
family.broken("sorted_by_target", "rows sorted by target, shuffle=False", "order_sorted order_never_changes", "step 11")
family.sound("clean", "nothing", build=True)
family.sound("penalty", "the loss has a term that does not depend on the data")
family.sound("flat_targets", "outputs are squeezed, targets are [N]")
family.sound("heavy_tails", "a few targets are far outside")
family.sound("quantile", "the gradient of the output has one size")
family.sound("plain_sgd", "small steps, slow progress")
family.sound("lbfgs", "a closure; several backward passes in a step; the same full batch each time")
family.sound("full_batch", "one batch an epoch, all rows")
family.sound("equal_rows_by_chance", "binary features: some of 40 validation rows occur in training")
family.sound("rates_by_layer", "one group learns more slowly")
family.sound("decay_usual", "weight decay 0.05")
family.sound("clipped_sometimes", "the norm is clipped in some steps")
family.sound("dropout_functional", "F.dropout with training=self.training", build=True)
family.sound("rescaled_copy", "the batch is rescaled, the stored rows are not")
family.sound("stream", "rows come from a stream without shuffling")
family.sound("zero_head", "the output layer starts at 0, as in residual nets", build=True)
PROGRAMS = family.programs
