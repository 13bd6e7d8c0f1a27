"""Anybody's model is measured as ours are, and judged by the same checks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.testing import evaluations as measure

VOCABULARY = 11
CHECKS = ("causal", "eval_is_pure", "batch_invariance", "optimizer_coverage")


class Reader(nn.Module):
    """A recurrent language model; with a fault it reads both ways, keeps a count, or centres its rows."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.embed = nn.Embedding(VOCABULARY, 8)
        self.body = nn.GRU(8, 8, batch_first=True, bidirectional=fault == "causal")
        self.head = nn.Linear(16 if fault == "causal" else 8, VOCABULARY)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.body(self.embed(tokens))[0]
        if self.fault == "eval_is_pure":
            self.seen += 1
        if self.fault == "batch_invariance":
            hidden = hidden - hidden.mean(0)
        found: Tensor = self.head(hidden)
        return found


@pytest.mark.parametrize("fault", ["", *CHECKS])
def test_the_checks_of_suites_judge_a_model_of_anybody(fault: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Reader(fault)
    parts = model.head if fault == "optimizer_coverage" else model
    optimizer = torch.optim.Adam(parts.parameters())
    tokens = torch.randint(VOCABULARY, (4, 12))
    with lvmcheck.record(tmp_path / "run", config={"epochs": 1}) as rec:
        with torch.no_grad(), measure.untouched(model):
            model.eval()
            rec.evaluation("causality", measure.causality(model, tokens[:1], VOCABULARY))
            rec.evaluation("purity", measure.purity(model, model, tokens, tokens.flip(1)))
            rec.evaluation("batch_invariance", measure.batch_invariance(model, tokens))
        rec.evaluation("optimizer_coverage", measure.coverage_counts(model, optimizer))
        rec.epoch(1, train_loss=2.3)
    assert model.training
    assert float(model.seen) == 0, "buffers are put back"
    run = lvmcheck.load(tmp_path / "run")
    found = {name: judge(load_check(name)(), run).status for name in CHECKS}
    assert found == {name: Status.FAILED if name == fault else Status.PASSED for name in CHECKS}


def test_gradients_of_terms_leave_no_trace() -> None:
    model = nn.Linear(3, 2)
    output = model(torch.ones(4, 3))
    terms = {"mse": (2.0, output.square().mean()), "count": (1.0, torch.tensor(3.0))}
    norms = measure.term_gradient_norms(terms, list(model.parameters()))
    assert norms["count"] == 0.0
    by_parameter = measure.parameter_gradients(2.0 * output.square().mean(), dict(model.named_parameters()))
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    assert norms["mse"] == pytest.approx(sum(by_parameter[name] ** 2 * n for name, n in sizes.items()) ** 0.5)
    assert model.weight.grad is None
