"""Two noisy views of an item: towers, siamese nets, a slow target, and a table of users and items."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from suites.gallery.silent._kit import BEFORE, Family

WIDE, CODE = 20, 12


def views(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two views that share what they come from."""
    g = torch.Generator().manual_seed(seed)
    common = torch.randn(rows, 6, generator=g)
    lifts = torch.randn(2, 6, WIDE, generator=torch.Generator().manual_seed(66))
    a, b = (common @ lift / 2 + 0.25 * torch.randn(rows, WIDE, generator=g) for lift in lifts)
    return a, b


def tower() -> nn.Sequential:
    return nn.Sequential(nn.Linear(WIDE, 40), nn.ReLU(), nn.Linear(40, CODE))


class Towers(nn.Module):
    """A tower for each view and, for siamese training, a predictor."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        self.left, self.right = tower(), tower()
        self.guess = nn.Linear(CODE, CODE) if variant.startswith("slow") else nn.Identity()

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        left = self.guess(self.left(a))
        if self.variant == "right_without_gradient":
            with torch.no_grad():
                right = self.right(b)
        elif self.variant == "right_locked":  # on purpose: it is frozen, and in no optimizer
            right = self.right(b).detach()
        else:
            right = self.right(b)
        return F.normalize(left, dim=1), F.normalize(right, dim=1)


def recall(left: Tensor, right: Tensor) -> float:
    return float(((left @ right.T).argmax(1) == torch.arange(len(left))).float().mean())


def train_towers(rec: Any, variant: str) -> Any:
    torch.manual_seed(41)
    a, b = views(768, 1)
    va, vb = views(128, 2)
    if variant == "pairs_shuffled":
        b = b[torch.randperm(len(b))]
    if variant == "validates_on_training_pairs":
        va, vb = a[:128], b[:128]
    model = Towers(variant)
    slow = copy.deepcopy(model.right).requires_grad_(False)
    if variant.startswith("slow"):
        slow.load_state_dict(model.left.state_dict())
        del model.right
        model.right = slow
    if variant == "right_locked":
        model.right.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    if variant == "right_left_out":
        trained = list(model.left.parameters())
    optimizer = torch.optim.Adam(trained, lr=4e-3)
    loader = DataLoader(TensorDataset(a, b), 64, shuffle=True, drop_last=True)
    rec.watch(model, optimizer, train=loader, val=DataLoader(TensorDataset(va, vb), 128))

    def loss_of(left: Tensor, right: Tensor) -> Tensor:
        if variant == "attraction_only" or variant.startswith("slow"):
            return 2 - 2 * (left * right).sum(1).mean()
        logits = left @ right.T / 0.1
        if variant == "probabilities_first":
            logits = logits.softmax(1)
        labels = torch.arange(len(left))
        if variant == "symmetric":
            return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        return F.cross_entropy(logits, labels)

    history = []
    for epoch in range(10):
        model.train()
        for ab, bb in loader:
            if variant.startswith("slow"):  # two views of one tower: noise makes them
                bb = ab + 0.2 * torch.randn_like(ab)
            loss = loss_of(*model(ab, bb))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if variant == "slow_target":
                with torch.no_grad():
                    for target, fast in zip(slow.parameters(), model.left.parameters(), strict=True):
                        target.lerp_(fast, 0.03)
            rec.step(loss=loss)
        model.eval()
        with torch.no_grad():
            left, right = model(va, va + 0.2 * torch.randn_like(va) if variant.startswith("slow") else vb)
        rec.epoch(epoch, val_loss=float(loss_of(left, right)), val_recall=recall(left, right))
        history.append(recall(left, right))
    return SimpleNamespace(
        model=model, optimizer=optimizer, history=history, chance=1 / 128, codes=left, a=a, b=b, va=va, slow=slow
    )


class Table(nn.Module):
    """Users times items."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        sparse = variant == "table_sparse"
        self.user, self.item = nn.Embedding(120, 8, sparse=sparse), nn.Embedding(80, 8, sparse=sparse)
        nn.init.normal_(self.user.weight, std=0.3), nn.init.normal_(self.item.weight, std=0.3)
        if variant == "table_both_zero":
            nn.init.zeros_(self.user.weight), nn.init.zeros_(self.item.weight)
        self.bias = nn.Embedding(80, 1, sparse=sparse)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.user(user) * self.item(item)).sum(1) + self.bias(item)[:, 0]


def train_table(rec: Any, variant: str) -> Any:
    torch.manual_seed(42)
    g = torch.Generator().manual_seed(9)
    liking = torch.randn(120, 3, generator=g) @ torch.randn(3, 80, generator=g) / 1.7 + torch.randn(80, generator=g)
    cells = torch.randperm(120 * 80, generator=g)[:4096]
    user, item = cells // 80, cells % 80
    score = liking[user, item] + 0.1 * torch.randn(len(user), generator=g)
    train_rows, val_rows = torch.arange(3584), torch.arange(3584, 4096)
    if variant == "table_split_repeats":
        train_rows = torch.cat([train_rows, val_rows[:256]])
    model = Table(variant)
    parameters = list(model.parameters())
    if variant == "table_user_left_out":
        parameters = [*model.item.parameters(), *model.bias.parameters()]
    sparse = variant == "table_sparse"
    optimizer: Any = torch.optim.SparseAdam(parameters, lr=0.03) if sparse else torch.optim.Adam(parameters, lr=0.03)
    loader = DataLoader(TensorDataset(user[train_rows], item[train_rows], score[train_rows]), 256, shuffle=True)
    val_loader = DataLoader(TensorDataset(user[val_rows], item[val_rows], score[val_rows]), 512)
    rec.watch(model, optimizer, train=loader, val=val_loader)
    history = []
    for epoch in range(12):
        model.train()
        for u, i, s in loader:
            loss = F.mse_loss(model(u, i), s)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss)
        model.eval()
        with torch.no_grad():
            u, i, s = next(iter(val_loader))
            val_loss = float(F.mse_loss(model(u, i), s))
        rec.epoch(epoch, val_loss=val_loss)
        history.append(1 - val_loss / float(s.var()))
    return SimpleNamespace(
        model=model, optimizer=optimizer, history=history, chance=0.0, rows=train_rows, val_rows=val_rows
    )


def train(rec: Any, variant: str = "clean") -> Any:
    return (train_table if variant.startswith("table") else train_towers)(rec, variant)


family = Family("pairs", train)
family.broken("right_without_gradient", "one tower runs under no_grad", "detached_module", "step 1")
family.broken("right_left_out", "one tower is not in the optimizer", "missing_from_optimizer", BEFORE)
family.broken("attraction_only", "pairs attract and nothing repels", "collapsed_embeddings", "step 60")
family.broken("slow_forgotten", "the slow target is never updated", "ema_never_updated", "step 12")
family.broken("pairs_shuffled", "pairs do not belong together", "targets_shuffled", "step 60")
family.broken("probabilities_first", "softmax before cross_entropy", "probabilities_for_logits", "step 1")
family.broken(
    "validates_on_training_pairs", "validation pairs are training pairs", "validates_on_training_rows", BEFORE
)
family.broken("table_user_left_out", "the users' table is not in the optimizer", "missing_from_optimizer", BEFORE)
family.broken("table_both_zero", "both factors start at 0 and stay there", "zero_init", "step 1")
family.broken(
    "table_split_repeats", "half of the validation rows are in training", "validates_on_training_rows", BEFORE
)
family.sound("clean", "rows of a batch are compared with each other")
family.sound("symmetric", "both directions")
family.sound("right_locked", "one tower frozen on purpose")
family.sound("slow_target", "a target that only follows, and positive pairs alone")
family.sound("table", "most rows of a table get no gradient in a batch")
family.sound("table_sparse", "sparse gradients and SparseAdam")
PROGRAMS = family.programs
