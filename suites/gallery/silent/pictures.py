"""Six kinds of small pictures and a convolutional net with batch norm and dropout."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset, WeightedRandomSampler

from suites.gallery.silent._kit import BEFORE, Family

EPOCHS, CLASSES = 8, 6


def pictures(rows: int, seed: int, rare: bool = False) -> tuple[Tensor, Tensor]:
    """Noisy shifted prototypes with pixels of 0 to 255."""
    shapes = F.avg_pool2d(torch.randn(CLASSES, 1, 12, 12, generator=torch.Generator().manual_seed(99)), 3, 1, 1)
    g = torch.Generator().manual_seed(seed)
    share = torch.tensor([8.0, 4.0, 2.0, 1.0, 1.0, 1.0]) if rare else torch.ones(CLASSES)
    label = torch.multinomial(share, rows, replacement=True, generator=g)
    x = 3 * shapes[label] + 2.0 * torch.randn(rows, 1, 12, 12, generator=g)
    shift = torch.randint(-1, 2, (rows,), generator=g).tolist()
    x = torch.stack([torch.roll(row, by, 2) for row, by in zip(x, shift, strict=True)])
    return (40 * x + 128).clamp(0, 255).round(), label


class Net(nn.Module):
    """Two convolutions and a head."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        self.first = nn.Sequential(nn.Conv2d(1, 10, 3, padding=1), nn.BatchNorm2d(10), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(10, 20, 3, padding=1), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2))
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(180, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        if self.variant == "checkpointing" and self.training:
            h = checkpoint(self.second, self.first(x), use_reentrant=False)
        else:
            h = self.second(self.first(x))
        out = self.head(self.dropout(h.flatten(1)))
        return out.softmax(1) if self.variant == "softmax_in_model" else out


class Jittered(Dataset[tuple[Tensor, Tensor]]):
    """Adds noise and a random flip of brightness to each picture."""

    def __init__(self, x: Tensor, y: Tensor, frozen: bool) -> None:
        self.x, self.y, self.frozen = x, y, frozen

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        g = torch.Generator().manual_seed(index) if self.frozen else None
        return self.x[index] + 0.3 * torch.randn(1, 12, 12, generator=g), self.y[index]


class EasyFirst(Sampler[int]):
    """A curriculum: the same order every epoch, from clean to noisy pictures, on purpose."""

    def __init__(self, x: Tensor) -> None:
        rough = (x[:, :, 1:] - x[:, :, :-1]).abs().flatten(1).mean(1)
        self.order = rough.argsort().tolist()

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Any:
        return iter(self.order)


def train(rec: Any, variant: str = "clean") -> Any:
    torch.manual_seed(3)
    x, y = pictures(640, 1, rare=variant == "balanced_sampler")
    vx, vy = pictures(256, 2)
    mean, std = x.mean(), x.std()
    x = (x - mean) / std
    vx = vx / 128 - 1 if variant == "validation_unnormalised" else (vx - mean) / std
    clean_labels = y.clone()
    if variant == "noisy_labels":
        y = torch.where(torch.rand(len(y)) < 0.45, torch.randint(0, CLASSES, (len(y),)), y)
    if variant == "split_leaks":
        vx, vy = torch.cat([vx[:128], x[:128]]), torch.cat([vy[:128], y[:128]])
    if variant == "rows_repeated":
        x, y = x[:160].repeat(4, 1, 1, 1), y[:160].repeat(4)
    if variant == "sorted_by_class":
        by_class = y.argsort(stable=True)
        x, y = x[by_class], y[by_class]

    data: Any = TensorDataset(x, y)
    if variant in ("jitter", "jitter_frozen"):
        data = Jittered(x, y, frozen=variant == "jitter_frozen")
    val_data = data if variant == "validates_on_training_set" else TensorDataset(vx, vy)
    if variant == "balanced_sampler":
        weight = (1 / y.bincount().float())[y].tolist()
        loader = DataLoader(data, 64, sampler=WeightedRandomSampler(weight, len(y)))
    elif variant == "curriculum":
        loader = DataLoader(data, 64, sampler=EasyFirst(x))
    else:
        loader = DataLoader(data, 64, shuffle=variant not in ("order_fixed", "sorted_by_class"))
    val_loader = DataLoader(val_data, 128)

    model = Net(variant)
    if variant in ("pretrained_frozen", "fine_tune_tiny_rate"):  # some training somewhere else, unwatched
        before = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        for _ in range(3):
            for xb, yb in loader:
                before.zero_grad()
                F.cross_entropy(model(xb), (yb + 1) % CLASSES if variant == "pretrained_frozen" else yb).backward()
                before.step()
        before.zero_grad()
    if variant == "pretrained_frozen":
        model.first.requires_grad_(False)
        model.second.requires_grad_(False)
        model.head = nn.Linear(180, CLASSES)
    rate = 1e-4 if variant == "fine_tune_tiny_rate" else 0.03
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=rate, momentum=0.9)
    if variant == "head_replaced_after":
        model.head = nn.Linear(180, CLASSES)
    scheduler: Any = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    if variant.startswith("best"):
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0, EPOCHS)
    ema = copy.deepcopy(model).requires_grad_(False)
    watcher = rec.watch(model, optimizer, scheduler, train=loader, val=val_loader)

    best, best_loss, history = {}, 1e9, []
    for epoch in range(EPOCHS):
        if variant != "stays_in_eval":
            model.train()
        if variant == "pretrained_frozen":
            model.first.eval()
            model.second.eval()
        for xb, yb in watcher.train if variant in ("jitter", "jitter_frozen", "curriculum") else loader:
            if variant == "accumulation":
                optimizer.zero_grad()
                total = 0.0
                for part in range(0, len(xb), 16):
                    loss = F.cross_entropy(model(xb[part : part + 16]), yb[part : part + 16]) * 16 / len(xb)
                    loss.backward()
                    total += float(loss)
                optimizer.step()
                rec.step(loss=total)
                continue
            if variant == "mixup":
                other, keep = torch.randperm(len(xb)), float(torch.rand(()) * 0.4 + 0.6)
                soft = keep * F.one_hot(yb, CLASSES) + (1 - keep) * F.one_hot(yb[other], CLASSES)
                loss = F.cross_entropy(model(keep * xb + (1 - keep) * xb[other]), soft)
            elif variant == "bf16_autocast":
                with torch.autocast("cpu", torch.bfloat16):
                    loss = F.cross_entropy(model(xb), yb)
            else:
                loss = F.cross_entropy(model(xb), yb, label_smoothing=0.1 if variant == "label_smoothing" else 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if variant == "ema":
                with torch.no_grad():
                    for slow, fast in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
                        slow.copy_(slow.lerp(fast, 0.1) if slow.is_floating_point() else fast)
            rec.step(loss=loss.item())
        if variant != "schedule_forgotten":
            scheduler.step()
        if variant == "schedule_twice":
            scheduler.step()

        judged = ema if variant in ("ema", "ema_forgotten") else model
        if variant != "validates_in_train_mode":
            judged.eval()
        with torch.no_grad():
            outputs = torch.cat([judged(xb) for xb, _ in val_loader])
        labels = torch.cat([yb for _, yb in val_loader])
        val_loss = float(F.cross_entropy(outputs, labels))
        accuracy = float((outputs.argmax(1) == labels).float().mean())
        if val_loss < best_loss:
            best_loss = val_loss
            best = model.state_dict() if variant == "best_is_reference" else copy.deepcopy(model.state_dict())
        rec.epoch(epoch, val_loss=val_loss, val_accuracy=accuracy)
        history.append(accuracy)
    if variant in ("best_is_reference", "best_copied"):
        model.load_state_dict(best)
        model.eval()
        with torch.no_grad():
            outputs = torch.cat([model(xb) for xb, _ in val_loader])
        rec.log({"best_val_loss": float(F.cross_entropy(outputs, labels))})
    return SimpleNamespace(
        model=model, optimizer=optimizer, history=history, chance=1 / CLASSES, best=best, ema=ema,
        x=x, y=y, vx=val_data, clean=clean_labels, scheduler=scheduler,
    )  # fmt: skip


def build(variant: str) -> Any:
    torch.manual_seed(3)
    x, y = pictures(32, 1)
    model = Net(variant)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    if variant == "head_replaced_after":
        model.head = nn.Linear(180, CLASSES)
    return model, ((x - 128) / 50, y), nn.CrossEntropyLoss(), optimizer


family = Family("pictures", train, build)
family.broken(
    "head_replaced_after",
    "the head is replaced after the optimizer was made",
    "missing_from_optimizer foreign_parameters",
    BEFORE,
    build=True,
)
family.broken("softmax_in_model", "softmax before cross_entropy", "probabilities_for_logits", "step 1", build=True)
family.broken("validates_in_train_mode", "no model.eval() in validation", "validates_in_train_mode", "step 10")
family.broken("stays_in_eval", "no model.train() after the first validation", "trains_in_eval_mode", "step 11")
family.broken("order_fixed", "shuffle=False", "order_never_changes", "step 11")
family.broken("sorted_by_class", "rows sorted by class, shuffle=False", "order_sorted order_never_changes", "step 3")
family.broken("validates_on_training_set", "val loader on the training set", "validates_on_training_rows", BEFORE)
family.broken("split_leaks", "half of the validation rows are training rows", "validates_on_training_rows", BEFORE)
family.broken("noisy_labels", "45 % of the training labels are random", "labels_noisy", "step 40")
family.broken("rows_repeated", "160 rows four times each", "duplicated_rows", BEFORE)
family.broken("schedule_forgotten", "scheduler.step() is missing", "scheduler_never_stepped", "step 11")
family.broken("schedule_twice", "scheduler.step() twice an epoch", "scheduler_double_stepped", "step 10")
family.broken(
    "validation_unnormalised",
    "validation / 128 - 1, training (x - mean) / std",
    "validation_preprocessed_differently",
    BEFORE,
)
family.broken("jitter_frozen", "augmentation seeded by the row's index", "augmentation_frozen", "step 11")
family.broken("ema_forgotten", "the averaged model that is validated is never updated", "ema_never_updated", "step 10")
family.broken("best_is_reference", "best = model.state_dict() without a copy", "best_aliases_last", "step 20")
family.sound("clean", "nothing", build=True)
family.sound("accumulation", "four backward passes a step, the loss scaled")
family.sound("balanced_sampler", "sampling with replacement against an imbalance")
family.sound("curriculum", "the same order every epoch, on purpose", config={"order": "curriculum", "shuffle": False})
family.sound("best_copied", "the weights jump back to the best epoch after the last one")
family.sound("checkpointing", "the second block runs twice", build=True)
family.sound("bf16_autocast", "half precision in the forward pass")
family.sound("ema", "another model is validated than the one that trains")
family.sound("jitter", "inputs are never the same twice")
family.sound("label_smoothing", "gradient of the logits is not softmax - one-hot")
family.sound("mixup", "targets are mixtures of two rows")
family.sound("pretrained_frozen", "most parameters frozen and in no optimizer, on purpose; their batch norms in eval")
family.sound("fine_tune_tiny_rate", "weights barely move from a pretrained model")
PROGRAMS = family.programs
