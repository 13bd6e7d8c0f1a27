"""Data sets of the loaders that a loop iterates over, which nobody named: what they store is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, SubsetRandomSampler, TensorDataset

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.run.events import Watch
from lvmcheck.watch.measure.stored import LOOKED, Stored

ROWS = 320


class Scaled(Dataset[tuple[Tensor, Tensor]]):
    """Arrays, of which a random part of the inputs' scale is applied, in place or not."""

    def __init__(self, inputs: Tensor, labels: Tensor, *, in_place: bool) -> None:
        self.inputs, self.labels, self.in_place = inputs.numpy().copy(), labels.numpy(), in_place
        self.draw = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = self.inputs[index] if self.in_place else self.inputs[index].copy()
        row *= self.draw.uniform(0.8, 1.3)
        return torch.from_numpy(row), torch.tensor(self.labels[index])


def data(seed: int) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(ROWS, 12, generator=torch.Generator().manual_seed(seed))
    return inputs, (inputs[:, 0] + inputs[:, 1] > 0).long()


def run(path: Path, train: Any, *evaluations: Any, epochs: int = 4) -> dict[str, Status]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with lvmcheck.record(path) as rec:
        for epoch in range(epochs):
            for inputs, labels in train:
                loss = F.cross_entropy(model(inputs), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rec.step(loss=loss)
            model.eval()
            with torch.no_grad():
                losses = [[F.cross_entropy(model(x), y).item() for x, y in loader] for loader in evaluations]
            model.train()
            rec.epoch(epoch, **{f"val_loss{i}": sum(found) / len(found) for i, found in enumerate(losses)})
    found = lvmcheck.load(path)
    names = ("rows_kept", "train_rows_differ", "validation_rows_unseen", "targets_match_rows")
    return {name: judge(load_check(name)(), found).status for name in names}


@pytest.mark.parametrize("in_place", [True, False])
def test_rows_that_are_scaled_where_they_are_stored(in_place: bool, tmp_path: Path) -> None:
    found = run(tmp_path / "run", DataLoader(Scaled(*data(0), in_place=in_place), 32, shuffle=True))
    assert found["rows_kept"] is (Status.FAILED if in_place else Status.PASSED)


@pytest.mark.parametrize("other_targets", [True, False])
def test_rows_that_are_there_four_times(other_targets: bool, tmp_path: Path) -> None:
    inputs, labels = data(0)
    inputs, labels = inputs[:80].repeat(4, 1), labels[:80].repeat(4)
    targets = torch.arange(ROWS) // 80 if other_targets else labels
    found = run(tmp_path / "run", DataLoader(TensorDataset(inputs, targets), 32, shuffle=True))
    assert (found["train_rows_differ"] is Status.FAILED) is not other_targets


@pytest.mark.parametrize("kind", ["disjoint", "shared", "sampled", "train_evaluated_beside"])
def test_validation_rows_that_are_training_rows(kind: str, tmp_path: Path) -> None:
    """Behind an augmentation that the model sees in place of the rows."""
    inputs, labels = data(0)
    noisy = Scaled(inputs, labels, in_place=False)
    plain = TensorDataset(inputs, labels)
    rows, others = list(range(240)), list(range(240, ROWS))
    train: Any = DataLoader(Subset(noisy, rows), 24, shuffle=True)
    val: Any = DataLoader(Subset(plain, rows[:80] if kind == "shared" else others), 40)
    if kind == "sampled":
        train, val = (
            DataLoader(noisy, 24, sampler=SubsetRandomSampler(rows)),
            DataLoader(plain, 40, sampler=SubsetRandomSampler(others)),
        )
    beside = [DataLoader(Subset(plain, rows), 60)] if kind == "train_evaluated_beside" else []
    found = run(tmp_path / "run", train, *beside, val)
    assert (found["validation_rows_unseen"] is Status.FAILED) is (kind == "shared")


@pytest.mark.parametrize("shuffled", [True, False])
def test_labels_that_belong_to_other_rows(shuffled: bool, tmp_path: Path) -> None:
    (inputs, labels), val = data(0), data(1)
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(2)) if shuffled else torch.arange(ROWS)
    found = run(
        tmp_path / "run",
        DataLoader(TensorDataset(inputs, labels[order]), 32, shuffle=True),
        DataLoader(TensorDataset(*val), 64),
    )
    assert found["targets_match_rows"] is (Status.FAILED if shuffled else Status.PASSED)


def test_two_loaders_at_once_are_left_alone(tmp_path: Path) -> None:
    inputs, labels = data(0)
    twice = TensorDataset(inputs[:80].repeat(4, 1), labels[:80].repeat(4))
    both = zip(DataLoader(twice, 32), DataLoader(TensorDataset(*data(1)), 32), strict=True)
    run(tmp_path / "run", (one for one, _ in both), epochs=1)
    assert not [event for event in lvmcheck.load(tmp_path / "run").of(Watch) if event.name == "data_repeats"]


def test_of_a_large_data_set_a_part_is_looked_at() -> None:
    images = torch.zeros(1, 1).expand(200_000, 4096)
    of_all, of_some = Stored(images, None), Stored(images, None, torch.arange(150_000))
    assert {len(held.used[0]) for held in (of_all, of_some)} == {LOOKED // 4096}
