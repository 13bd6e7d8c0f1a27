"""reduction_scale: the loss of a batch twice as large, made of the same rows, is the same."""

from __future__ import annotations

import torch

from lvmcheck.checks.finding import Fact, Finding, Outcome, passed, warning
from lvmcheck.watch.preflight.nested import taken
from lvmcheck.watch.preflight.setup import Setup, SkipProbe

FIXES = {"summed": "average over the batch (reduction='mean'): a sum ties the learning rate to the batch size"}
TWICE = (1.95, 2.05)


def measure(setup: Setup) -> Outcome:
    if setup.rows is None:
        raise SkipProbe("the tensors of the batch differ in their first dimension")
    rows = min(setup.rows, 16)
    setup.model.eval()
    once = _loss(setup, torch.arange(rows))
    twice = _loss(setup, torch.arange(rows).repeat(2))
    if abs(once) < 1e-8:
        raise SkipProbe("the loss is 0")
    ratio = twice / once
    finding = Finding(
        code="summed" if TWICE[0] <= ratio <= TWICE[1] else "averaged",
        measured=ratio,
        unit="x",
        evidence=(Fact("required", 1.0, "x"), Fact("loss", once), Fact("loss_of_twice_the_rows", twice)),
        phrase="the loss of the same rows twice is {measured} that of the batch (required {required})",
    )
    return warning(finding) if finding.code == "summed" else passed(finding)


def _loss(setup: Setup, index: torch.Tensor) -> float:
    assert setup.rows is not None
    setup.snapshot.generators.restore()
    try:
        return float(setup.loss(taken(setup.batch, index, setup.rows)).detach())
    except Exception as problem:
        raise SkipProbe(f"the model takes no batch of {len(index)} rows ({type(problem).__name__})") from None
