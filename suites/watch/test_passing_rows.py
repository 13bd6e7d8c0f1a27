"""What the loop shows beside its model: rows that pass through it, dropout in evaluations, the scheduler's mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from suites.watch.steps import learn


def train(
    folder: Path, rows: Tensor, labels: Tensor, *, shuffled: bool, evaluated: tuple[Tensor, ...] = ()
) -> set[str]:
    """Names of the checks that a small classifier of two classes fails."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(rows.shape[1], 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    with lvmcheck.record(folder) as rec:
        for epoch in range(4):
            order = torch.randperm(len(rows)) if shuffled else torch.arange(len(rows))
            for batch in order.split(32):
                loss = nn.functional.binary_cross_entropy_with_logits(model(rows[batch])[:, 0], labels[batch])
                learn(rec, optimizer, loss)
            with torch.no_grad():
                figures = [model(part).abs().mean() for part in evaluated]
            rec.epoch(epoch, **({"val_loss": figures[-1]} if figures else {}))
    return {found.check for found in rec.findings}


@pytest.mark.parametrize(("share", "ordered", "fails"), [(0.5, True, True), (0.5, False, False), (0.02, False, False)])
def test_two_classes_one_after_the_other(share: float, ordered: bool, fails: bool, tmp_path: Path) -> None:
    torch.manual_seed(1)
    rows = torch.randn(640, 6)
    score = rows[:, 0] + 0.5 * torch.randn(640)
    labels = (score > score.quantile(1 - share)).float()
    order = labels.argsort() if ordered else torch.arange(640)
    assert ("labels_mixed" in train(tmp_path / "run", rows[order], labels[order], shuffled=not ordered)) is fails


@pytest.mark.parametrize(("kind", "fails"), [("apart", False), ("training_beside", False), ("training", True)])
def test_rows_of_training_in_an_evaluation(kind: str, fails: bool, tmp_path: Path) -> None:
    torch.manual_seed(1)
    rows = torch.randn(900, 12)
    labels = (rows[:, 0] > 0).float()
    parts = {"apart": (rows[640:],), "training_beside": (rows[:640], rows[640:]), "training": (rows[:260],)}
    found = train(tmp_path / "run", rows[:640], labels[:640], shuffled=True, evaluated=parts[kind])
    assert ("validation_rows_unseen" in found) is fails


@pytest.mark.parametrize(("split", "fails"), [("by_time", False), ("at_random", True)])
def test_windows_that_overlap_across_the_split(split: str, fails: bool, tmp_path: Path) -> None:
    torch.manual_seed(1)
    series = torch.sin(torch.arange(1200.0) / 9) + 0.3 * torch.randn(1200)
    windows = series.unfold(0, 17, 1)
    order = torch.randperm(len(windows)) if split == "at_random" else torch.arange(len(windows))
    training, rest = windows[order[:800]], windows[order[820:]]
    labels = (training[:, 16] > 0).float()
    found = train(tmp_path / "run", training[:, :16], labels, shuffled=True, evaluated=(rest[:, :16],))
    assert ("validation_windows_apart" in found) is fails


@pytest.mark.parametrize(("training", "fails"), [(True, True), (None, False)])
def test_functional_dropout_in_the_loops_own_evaluation(training: bool | None, fails: bool, tmp_path: Path) -> None:
    class Graph(nn.Module):
        """Takes all nodes at once, with edges: no few rows of it can be tried."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 2)

        def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
            on = self.training if training is None else training
            return edges @ self.second(nn.functional.dropout((edges @ self.first(nodes)).relu(), 0.5, on))

    torch.manual_seed(0)
    model, nodes, edges = Graph(), torch.randn(40, 8), torch.eye(40)
    optimizer = torch.optim.Adam(model.parameters())
    with lvmcheck.record(tmp_path / "run") as rec:
        for epoch in range(3):
            loss = nn.functional.cross_entropy(model.train()(nodes, edges), (nodes[:, 0] > 0).long())
            learn(rec, optimizer, loss)
            with torch.no_grad():
                rec.epoch(epoch, val_loss=model.eval()(nodes, edges).square().mean())
    assert ("evaluation_draws_nothing" in {found.check for found in rec.findings}) is fails


@pytest.mark.parametrize(("mode", "fails"), [("max", True), ("min", False)])
def test_a_plateau_scheduler_of_the_other_mode(mode: Any, fails: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows = torch.randn(200, 6)
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, patience=0)
    with lvmcheck.record(tmp_path / "run") as rec:
        for epoch in range(6):
            loss = (model(rows) - rows.sum(1, keepdim=True)).square().mean()
            learn(rec, optimizer, loss)
            rec.epoch(epoch, val_loss=loss.item())
            scheduler.step(loss.item())
    found = judge(load_check("plateau_mode_fits")(), lvmcheck.load(tmp_path / "run"))
    assert found.status is (Status.FAILED if fails else Status.PASSED)
