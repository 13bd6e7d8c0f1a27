"""checkpoint_round_trip: a checkpoint that is written and loaded gives back model and optimizer bit for bit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Finding, Outcome, failed, passed, warning
from lvmcheck.watch.preflight.checkpoint import Checkpoint
from lvmcheck.watch.preflight.nested import leaves
from lvmcheck.watch.preflight.protocol import one_line
from lvmcheck.watch.preflight.setup import Setup, listed

FIXES = {
    "not_restored": "register the tensor as a parameter or buffer, and let state_dict() and load_state_dict() hold it",
    "not_loadable": "keep names and shapes that load_state_dict() takes; load with strict=True in a test",
    "optimizer_not_restored": "write optimizer.state_dict() and load it after the model was moved to its device",
    "not_plain": "keep tensors and numbers only in the state, so that weights_only=True can read it",
}


def measure(setup: Setup) -> Outcome:
    if setup.training.loss.requires_grad and setup.optimizers and not setup.needs_closure:
        setup.train()
        setup.step(setup.small, setup.optimizers, setup.schedulers)
    checkpoint = Checkpoint(setup)
    tensors = registered(setup)
    states = [optimizer.state_dict() for optimizer in setup.optimizers]
    kept = [{path: t.clone() for path, t in leaves(state).items()} for state in states]
    _disturb(setup)
    try:
        checkpoint.load(setup)
    except Exception as problem:
        phrase = "load_state_dict() of its own state raises {measured}"
        return failed(Finding(code="not_loadable", measured=one_line(problem), phrase=phrase))
    after = registered(setup)
    lost = [name for name, tensor in tensors.items() if name not in after or not same_bits(tensor, after[name])]
    if lost:
        return failed(_finding("not_restored", lost, "{measured} tensors of the model are not restored", "tensors"))
    now = [leaves(optimizer.state_dict()) for optimizer in setup.optimizers]
    wrong = [path for one, two in zip(kept, now, strict=True) for path, t in one.items() if not _there(t, path, two)]
    if wrong:
        phrase = "{measured} tensors of the optimizer are not restored"
        return failed(_finding("optimizer_not_restored", wrong, phrase, "tensors"))
    phrase = "of model and optimizer {measured} tensors are not restored"
    if not checkpoint.plain:
        return warning(_finding("not_plain", [], "the state is more than tensors and numbers", ""))
    return passed(_finding("restored", [], phrase, ""), evaluated=len(tensors))


def registered(setup: Setup) -> dict[str, Tensor]:
    """Copies of parameters and persistent and other buffers."""
    found: dict[str, Tensor] = dict(setup.model.named_parameters(remove_duplicate=False))
    constant = {name for name, _ in setup.model.named_buffers()} - set(setup.model.state_dict())
    found |= {name: buffer for name, buffer in setup.model.named_buffers() if name not in constant}
    return {name: tensor.detach().clone() for name, tensor in found.items()}


def _disturb(setup: Setup) -> None:
    """Other values everywhere, so that what is not loaded shows."""
    with torch.no_grad():
        for name, tensor in {**dict(setup.model.named_parameters()), **dict(setup.model.named_buffers())}.items():
            if name in setup.model.state_dict() or isinstance(tensor, torch.nn.Parameter):
                tensor.detach().copy_(torch.ones_like(tensor) if not tensor.any() else torch.zeros_like(tensor))
        for optimizer in setup.optimizers:
            for value in leaves(optimizer.state_dict()).values():
                value.zero_()


def same_bits(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())


def _there(tensor: Tensor, path: str, others: dict[str, Tensor]) -> bool:
    return path in others and same_bits(tensor, others[path])


def _finding(code: str, names: list[str], phrase: str, key: str) -> Finding:
    evidence: tuple[Any, ...] = listed(names, key)
    return Finding(code=code, measured=len(names), bounds=(equal(0),), evidence=evidence, phrase=phrase)
