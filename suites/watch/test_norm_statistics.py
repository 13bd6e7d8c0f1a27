"""Running statistics of batch norm at the end of a run, as found by default."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from suites.watch.steps import learn

BATCHES = 80


@pytest.mark.own_process
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("default", Status.PASSED),
        ("of_another_library", Status.FAILED),
        ("pretrained", Status.NOT_RECORDED),
        ("without_a_count", Status.NOT_RECORDED),
    ],
)
def test_what_is_left(kind: str, status: Status, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8, momentum=0.1 if kind == "default" else 0.001), nn.Linear(8, 1)
    )
    if kind == "pretrained":
        for _ in range(5):
            model(torch.randn(16, 6))
    if kind == "without_a_count":  # as the files of old models are
        model[1].running_var.fill_(0.3)  # type: ignore[union-attr,operator]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(BATCHES):
            loss = model(torch.randn(16, 6)).square().mean()
            learn(rec, optimizer, loss)
    outcome = judge(load_check("norm_statistics_settle")(), lvmcheck.load(tmp_path / "run"))
    assert outcome.status is status, outcome
    if outcome.finding is not None:
        assert outcome.finding.number == pytest.approx((1 - (0.1 if kind == "default" else 0.001)) ** BATCHES, rel=1e-3)
