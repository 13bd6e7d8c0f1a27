"""Programs with one error in the data, the loss calls or the evaluation; without it each is its healthy twin."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import lvmcheck
from lvmcheck import Recorder
from suites.watch.steps import learn

STEPS = 8


class Net(nn.Module):
    """A perceptron with a head; ``fault`` may join its rows, or leave dropout on."""

    def __init__(self, fault: str, out: int = 3) -> None:
        super().__init__()
        self.fault = fault
        self.body, self.head = nn.Sequential(nn.Linear(8, 24), nn.ReLU()), nn.Linear(24, out)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.body(inputs)
        if self.fault == "mean_over_the_rows":
            hidden = hidden - hidden.mean(0)
        if self.fault == "dropout_left_on":
            hidden = F.dropout(hidden, 0.2)
        return self.head(hidden)  # type: ignore[no-any-return]


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Stored rows and noise."""

    def __init__(self, inputs: Tensor, labels: Tensor, fault: str) -> None:
        self.inputs, self.labels, self.fault = inputs, labels, fault

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        draw = torch.Generator().manual_seed(row) if self.fault == "noise_seeded_by_row" else None
        return self.inputs[row] + 0.1 * torch.randn(8, generator=draw), self.labels[row]


def _rows(count: int) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, 8)
    return inputs, (inputs @ torch.randn(8, 3, generator=torch.Generator().manual_seed(1))).argmax(1)


def rows(rec: Recorder, fault: str) -> None:
    """A classifier of rows, with loaders over tensors or over a data set with noise."""
    (inputs, labels), (others, theirs) = _rows(256), _rows(160)
    if fault == "validation_in_other_units":
        others = others * 3
    if fault == "rows_four_times":
        inputs, labels = inputs[:64].repeat(4, 1), labels[:64].repeat(4)
    if fault == "targets_rolled":
        labels = labels.roll(1)
    if fault == "sorted_and_not_shuffled":
        order = labels.argsort(stable=True)
        inputs, labels = inputs[order], labels[order]
    stored = TensorDataset(inputs, labels)
    data: Any = Noisy(inputs, labels, fault) if "noise" in fault else stored
    train = DataLoader(data, 256 // STEPS, shuffle=fault != "sorted_and_not_shuffled")
    model = Net(fault)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    if fault == "preflight_fails":
        lvmcheck.preflight(
            model, (inputs[:16], labels[:16]), lambda out, y: F.cross_entropy(out.softmax(1), y), optimizer
        )
    rec.watch(model, optimizer, train=train, val=DataLoader(TensorDataset(others, theirs), 160))
    best: Any = None
    for epoch in range(4):
        if fault == "seeded_every_epoch":
            torch.manual_seed(7)
        model.train()
        for batch, target in train:
            if fault == "rows_scaled_in_place":
                inputs.mul_(0.9)
            optimizer.zero_grad()
            output = model(batch)
            loss = F.cross_entropy(output, target)
            if fault == "second_term_of_probabilities":
                loss = loss + F.cross_entropy((output * 2).softmax(1), target)
            loss.backward()
            optimizer.step()
            rec.step(loss=loss)
        model.eval()
        with torch.no_grad():
            rec.epoch(epoch, val_loss=F.cross_entropy(model(others), theirs))
        best = model.state_dict() if fault == "best_without_a_copy" else copy.deepcopy(model.state_dict())
    model.load_state_dict(best)


def positions(rec: Recorder, fault: str) -> None:
    """A tag for every position of a series, or one number for each row."""
    inputs, others = torch.randn(256, 8), torch.randn(160, 8)
    targets, theirs = (inputs > 0).long(), (others > 0).long()
    if fault == "tags_one_late":
        targets = targets.roll(1, 1)
    number = torch.full((256, 1), 0.4) if fault == "one_target_for_all" else inputs[:, :1].sin()
    train = DataLoader(TensorDataset(inputs, targets, number), 32, shuffle=True)
    model = Net(fault, out=9)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    rec.watch(model, optimizer, train=train, val=DataLoader(TensorDataset(others, theirs, others[:, :1]), 160))
    for epoch in range(3):
        for batch, tags, values in train:
            output = model(batch)
            loss = F.binary_cross_entropy_with_logits(output[:, 1:], tags.float()) + F.mse_loss(output[:, :1], values)
            learn(rec, optimizer, loss)
        rec.epoch(epoch)


def pairs(rec: Recorder, fault: str) -> None:
    """Two views of a row are brought together, and apart from those of other rows."""
    model = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 6))
    optimizer = torch.optim.Adam(model.parameters(), 3e-2)
    rec.watch(model, optimizer)
    for _ in range(60):
        view = torch.randn(32, 8)
        one, other = (F.normalize(model(view + 0.3 * torch.randn(32, 8)), dim=1) for _ in range(2))
        near = (one * other).sum(1).mean()
        loss = -near if fault == "nothing_repels" else F.cross_entropy(one @ other.T / 0.2, torch.arange(32))
        learn(rec, optimizer, loss)


def padded(rec: Recorder, fault: str) -> None:
    """A bigram model of rows of different lengths, with 0 as padding."""
    model = nn.Sequential(nn.Embedding(12, 16), nn.Linear(16, 12))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    rec.watch(model, optimizer)
    for _ in range(40):
        rows = 1 + (torch.randint(0, 11, (16, 1)) + torch.arange(10) * torch.randint(1, 4, (16, 1))) % 11
        rows = rows * (torch.arange(10) < torch.randint(3, 11, (16, 1)))
        ignored = -100 if fault == "padding_is_scored" else 0
        loss = F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten(), ignore_index=ignored)
        learn(rec, optimizer, loss)


def table(rec: Recorder, fault: str) -> None:
    """A regression on columns, of which one may be the target."""
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 1))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    rec.watch(model, optimizer)
    for _ in range(40):
        rows = torch.randn(48, 6)
        target = rows[:, 0].sin() + rows[:, 1] * rows[:, 2] + 0.1 * torch.randn(48)
        if fault == "target_among_the_columns":
            rows[:, 5] = 2 * target - 1
        loss = F.mse_loss(model(rows)[:, 0], target)
        learn(rec, optimizer, loss)


def text(rec: Recorder, fault: str) -> None:
    """A bigram model of text."""
    model = nn.Sequential(nn.Embedding(12, 16), nn.Linear(16, 12))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    rec.watch(model, optimizer)
    for _ in range(24):
        rows = torch.randint(0, 12, (16, 1)) + torch.arange(10) * torch.randint(1, 4, (16, 1))
        rows, ahead = rows % 12, 2 if fault == "two_tokens_ahead" else 1
        loss = F.cross_entropy(model(rows[:, :-ahead]).flatten(0, 1), rows[:, ahead:].flatten())
        learn(rec, optimizer, loss)


def windows(rec: Recorder, fault: str) -> None:
    """A forecast from windows of a series, which are split by time."""
    series = torch.sin(torch.arange(900.0) / 9) + 0.3 * torch.randn(900)
    cut = series.unfold(0, 17, 1)
    order = torch.randperm(len(cut)) if fault == "windows_split_at_random" else torch.arange(len(cut))
    training, rest = cut[order[:600]], cut[order[620:]]
    model = nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 1))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    rec.watch(model, optimizer)
    for epoch in range(2):
        for batch in torch.randperm(600).split(32):
            loss = F.mse_loss(model(training[batch, :16]), training[batch, 16:])
            learn(rec, optimizer, loss)
        with torch.no_grad():
            rec.epoch(epoch, val_loss=F.mse_loss(model(rest[:, :16]), rest[:, 16:]))


CHECKS: Sequence[tuple[Callable[[Recorder, str], None], Mapping[str, str]]] = (
    (
        rows,
        {
            "mean_over_the_rows": "rows_apart",
            "dropout_left_on": "evaluation_draws_nothing",
            "noise_seeded_by_row": "augmentation_varies",
            "validation_in_other_units": "validation_scaled_alike",
            "rows_four_times": "train_rows_differ",
            "targets_rolled": "targets_match_rows",
            "sorted_and_not_shuffled": "rows_reshuffled",
            "rows_scaled_in_place": "rows_kept",
            "second_term_of_probabilities": "loss_inputs",
            "best_without_a_copy": "checkpoint_is_copy",
            "seeded_every_epoch": "random_state_advances",
            "preflight_fails": "preflight_passed",
        },
    ),
    (positions, {"tags_one_late": "target_lags_agree", "one_target_for_all": "targets_vary"}),
    (pairs, {"nothing_repels": "embeddings_apart"}),
    (text, {"two_tokens_ahead": "next_token_targets"}),
    (padded, {"padding_is_scored": "padding_not_scored"}),
    (windows, {"windows_split_at_random": "validation_windows_apart"}),
    (table, {"target_among_the_columns": "targets_not_in_inputs"}),
)
"""Programs, and the check that must see each of their faults."""
