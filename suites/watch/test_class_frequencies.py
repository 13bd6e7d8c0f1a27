"""A loss that gets no lower than the frequencies of its classes, beside healthy neighbours, as found by default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from suites.watch.steps import learn

STEPS, CLASSES = 240, 24


def _tokens(count: int) -> Tensor:
    """A chain in which each token allows four others, some far more common than others."""
    draw = torch.Generator().manual_seed(3)
    allowed = torch.multinomial(torch.arange(1.0, CLASSES + 1) ** -1.0, 4 * CLASSES, True, generator=draw)
    choice = torch.randint(0, 4, (count,), generator=draw).tolist()
    table, tokens = allowed.reshape(CLASSES, 4).tolist(), [0]
    for pick in choice:
        tokens.append(table[tokens[-1]][pick])
    return torch.tensor(tokens)


def _train(folder: Path, kind: str) -> Sequence[float]:
    torch.manual_seed(0)
    tokens = _tokens(4000)
    if kind == "shuffled":
        tokens = tokens[torch.randperm(len(tokens))]
    model = nn.Sequential(nn.Embedding(CLASSES, 16), nn.Linear(16, CLASSES))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5 if kind == "tiny_rate" else 3e-2)
    smoothing = 0.5 if kind == "smoothed" else 0.0
    losses = []
    with lvmcheck.record(folder) as rec:
        for _ in range(STEPS):
            at = torch.randint(0, len(tokens) - 9, (16,))
            rows = torch.stack([tokens[i : i + 9] for i in at.tolist()])
            output = model(rows[:, :-1]).reshape(-1, CLASSES)
            loss = nn.functional.cross_entropy(output, rows[:, 1:].reshape(-1), label_smoothing=smoothing)
            learn(rec, optimizer, loss)
            losses.append(loss.item())
    return losses


@pytest.mark.own_process
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("bigrams", Status.PASSED),
        ("shuffled", Status.FAILED),
        ("tiny_rate", Status.FAILED),
        ("smoothed", Status.NOT_RECORDED),
    ],
)
def test_as_found(kind: str, status: Status, tmp_path: Path) -> None:
    losses = _train(tmp_path / "run", kind)
    run = lvmcheck.load(tmp_path / "run")
    outcome = judge(load_check("beats_class_frequencies")(), run)
    assert outcome.status is status, outcome
    if status is Status.FAILED:
        assert outcome.finding is not None
        assert outcome.finding.number == pytest.approx(sum(losses[-60:]) / 60, rel=0.02)
        frequencies = torch.bincount(_tokens(4000), minlength=CLASSES) / 4001
        entropy = -float((frequencies * frequencies.clamp_min(1e-9).log()).sum())
        assert outcome.finding.fact("entropy").value == pytest.approx(entropy, rel=0.02)  # type: ignore[union-attr]
