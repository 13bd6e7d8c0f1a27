"""accumulation_scale: two halves of a batch, each weighted by one half, give the gradient of the whole batch."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmcheck.checks.bounds import band
from lvmcheck.checks.finding import Fact, Finding, Outcome, passed, warning
from lvmcheck.watch.preflight.nested import taken
from lvmcheck.watch.preflight.setup import Setup, SkipProbe

FIXES = {
    "scaled": "average over the batch, and divide the loss of each micro-batch by their number",
    "depends_on_split": "divide by the number of real tokens, or the sum of weights, of all micro-batches together",
}
TOLERANCE = 0.01


def measure(setup: Setup) -> Outcome:
    setup.needs_gradient()
    if setup.rows is None or setup.rows < 4:
        raise SkipProbe("the batch has fewer than 4 rows in common")
    half = min(setup.rows, 32) // 2
    setup.model.eval()
    try:
        whole = _gradient(setup, [range(2 * half)])
        parts = _gradient(setup, [range(half), range(half, 2 * half)])
    except RuntimeError as problem:
        raise SkipProbe(f"the model takes no batch of {half} rows ({type(problem).__name__})") from None
    norm, other = float(whole.norm()), float(parts.norm())
    if norm == 0 or not norm < float("inf"):
        raise SkipProbe("the gradient in eval mode is 0 or not finite")
    ratio, cosine = other / norm, float(whole @ parts) / max(norm * other, 1e-30)
    finding = Finding(
        code="same",
        measured=ratio,
        unit="x",
        bounds=band(1 - TOLERANCE, 1 + TOLERANCE),
        evidence=(Fact("cosine", cosine),),
        phrase="gradient of 2 micro-batches {measured} that of the batch",
    )
    if float((whole - parts).norm()) / norm <= TOLERANCE:
        return passed(finding)
    if cosine > 0.999 and any(abs(ratio / wrong - 1) < 0.02 for wrong in (0.5, 2.0)):
        return warning(_named(finding, "scaled"))  # as a sum over the batch is: perhaps meant
    if cosine > 0.9 and weighted(setup):
        return warning(_named(finding, "depends_on_split"))
    raise SkipProbe("the loss compares rows with each other, and cannot be accumulated")


def weighted(setup: Setup) -> bool:
    """Whether rows count differently in the mean: by weights of classes, or by labels that are ignored."""
    for operation in setup.training.of("cross_entropy", "nll_loss"):
        ignored = operation.argument(4, "ignore_index", -100)
        if operation.argument(2, "weight") is not None or bool((operation.argument(1, "target") == ignored).any()):
            return True
    return False


def _named(finding: Finding, code: str) -> Finding:
    return Finding(
        code=code,
        measured=finding.measured,
        unit=finding.unit,
        bounds=finding.bounds,
        evidence=finding.evidence,
        phrase=finding.phrase,
    )


def _gradient(setup: Setup, parts: list[range]) -> Tensor:
    """The gradient of all trainable parameters, accumulated over the parts."""
    assert setup.rows is not None
    setup.model.zero_grad()
    for part in parts:
        setup.snapshot.generators.restore()
        loss = setup.loss(taken(setup.batch, torch.tensor(list(part)), setup.rows)) / len(parts)
        loss.backward()  # type: ignore[no-untyped-call]
    found = [
        p.grad.detach().float().flatten()
        for _, p in setup.trainable()
        if p.grad is not None and p.grad.layout == torch.strided
    ]
    return torch.cat(found) if found else torch.zeros(1)
