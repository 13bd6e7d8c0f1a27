"""loss_depends_on_model: the loss has a gradient in the parameters, and changes with model and target."""

from __future__ import annotations

import torch

from lvmcheck.checks.bounds import equal, floor
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed
from lvmcheck.watch.preflight.nested import leaves, replaced
from lvmcheck.watch.preflight.objective import Form, split
from lvmcheck.watch.preflight.setup import Setup

FIXES = {
    "detached": "return the loss as it was computed, without .item(), .detach(), .data, no_grad() or numpy on the way",
    "not_finite": "look for a log of 0, a division by 0, or a batch in which every label is ignored",
    "target_ignored": "compare the output with the target of the batch",
}


def measure(setup: Setup) -> Outcome:
    loss = setup.training.loss
    value = float(loss.detach())
    if not loss.requires_grad or not gradient(setup):
        phrase = "the loss of {loss} has no gradient in any parameter"
        bounds = (floor(1),)
        return failed(Finding(code="detached", measured=0, bounds=bounds, evidence=_loss(value), phrase=phrase))
    if value != value or abs(value) == float("inf"):
        return failed(Finding(code="not_finite", measured=value, phrase="the loss is {measured}"))
    if setup.objective.form is Form.OUTPUT_TARGET and target_ignored(setup):
        phrase = "the loss is the same for {measured} other orders of the targets"
        return failed(Finding(code="target_ignored", measured=2, bounds=(equal(0),), phrase=phrase))
    return passed(Finding(code="depends", measured=value, phrase="first loss {measured}"))


def gradient(setup: Setup) -> bool:
    """Whether any parameter has a gradient."""
    setup.train()
    setup.model.zero_grad()
    setup.loss(setup.small).backward()  # type: ignore[no-untyped-call]
    return any(p.grad is not None for root in setup.roots for p in root.parameters() if p.requires_grad)


def target_ignored(setup: Setup) -> bool:
    """Whether other orders of the targets leave the loss as it is, bit for bit."""
    if isinstance(setup.small, torch.Tensor):
        return False
    paths = {path: tensor for path, tensor in leaves(split(setup.small)[1]).items() if tensor.ndim and len(tensor) > 1}
    own = {path: tensor for path, tensor in leaves(setup.small).items() if any(tensor is t for t in paths.values())}
    if not own or all(torch.equal(tensor, tensor.roll(1, 0)) for tensor in own.values()):
        return False
    setup.model.eval()
    losses = [_rolled(setup, own, shift) for shift in (0, 1, 2)]
    return losses[0] == losses[1] == losses[2]


def _rolled(setup: Setup, targets: dict[str, torch.Tensor], shift: int) -> float:
    setup.snapshot.generators.restore()
    other = replaced(setup.small, {path: tensor.roll(shift, 0) for path, tensor in targets.items()})
    return float(setup.loss(other).detach())


def _loss(value: float) -> tuple[Fact, ...]:
    return (Fact("loss", value),)
