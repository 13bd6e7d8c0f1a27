"""One training step on several devices: loss, gradients and optimizer steps beside those of the first one.

MPS has had silently wrong gradients and optimizer steps (pytorch issues 118115, 162730, 190056); a benchmark of a wrong
step means nothing, and a run on it less.
"""

from __future__ import annotations

import copy
import math
import unittest
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lvmcheck.errors import InputError
from lvmcheck.testing.devices import device_here, present, tf32
from lvmcheck.watch.preflight.nested import leaves, mapped
from lvmcheck.watch.preflight.objective import BadBatchError, Objective

STEPS = 3
TOLERANCE = 1e-3
"""Largest difference relative to the largest value of the tensor. Another order of summing in float32 gives 1e-6 to
1e-4; TF32 would give more and is off here."""
SILENT = 1e-5
"""A gradient this far below the largest of the model is rounding (a key's bias under a softmax) and not compared by
its own size."""
WHERE = "assert_same_step"
CPU = torch.device("cpu")

Tensors = Mapping[str, Tensor]
Optimize = Callable[[list[nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class Parity:
    """What differs most between two devices.

    Attributes:
        device, reference: where it was computed, and where what it is compared with.
        part: "loss", "gradient" or "step". name: of the parameter; empty for the loss.
        difference: relative to the largest value on the reference; NaN where a value is not finite.
        tolerance: the largest difference that is rounding.
    """

    device: str
    reference: str
    part: str
    name: str
    difference: float
    tolerance: float = TOLERANCE

    @property
    def holds(self) -> bool:
        """Whether both computed the same; NaN is not the same."""
        return self.difference <= self.tolerance

    @property
    def what(self) -> str:
        """``gradient of head.weight``."""
        return f"{self.part} of {self.name}" if self.name else self.part


class StepDiffersError(AssertionError):
    """A device computes another step; ``parity`` is what differs most, ``layer`` the kind of module that holds it."""

    def __init__(self, parity: Parity, layer: str) -> None:
        self.parity = parity
        self.layer = layer
        held = f" ({layer})" if layer else ""
        super().__init__(
            f"the {parity.what}{held} on {parity.device} differs from that on {parity.reference} by"
            f" {parity.difference:.3g} of its largest value, wanted at most {parity.tolerance:g}: nothing trained or"
            f" measured there can be trusted"
        )


def assert_same_step(
    model: nn.Module,
    batch: Any,
    devices: str | Sequence[str | torch.device] = "all",
    *,
    loss: Any = None,
    optimizer: Optimizer | Optimize | None = None,
    steps: int = STEPS,
    tolerance: float = TOLERANCE,
) -> list[Parity]:
    """Fails unless a training step gives the same loss, gradients and parameters on every device; returns what differs
    most on each.

    Dropout is off. The optimizer starts from the gradients of the first device everywhere: Adam divides by a gradient's
    size, so that the rounding of a tiny one would decide the direction of its step. ``model`` stays as it is.

    Args:
        batch: one batch as the loader gives it.
        devices: their names, the reference first; one alone is compared with the CPU, and "all" are those of this
            machine.
        loss: as :func:`lvmcheck.preflight` takes it.
        optimizer: that of the training, or a function of parameters that makes one; by default AdamW.

    Raises:
        StepDiffersError: the first device that differs.
        unittest.SkipTest: this machine lacks a device, or has no other one than the CPU.
        InputError: a device, the batch, the loss or the optimizer cannot be used as they are.
    """
    __tracebackhide__ = True
    reference, *others = _devices(devices)
    found = []
    for device in others:
        found.append(
            compare(
                model, batch, device, reference=reference,
                loss=loss, optimizer=optimizer, steps=steps, tolerance=tolerance,
            )
        )  # fmt: skip
        if not found[-1].holds:
            raise StepDiffersError(found[-1], _layer(model, found[-1].name))
    return found


def compare(
    model: nn.Module,
    batch: Any,
    device: torch.device,
    *,
    reference: torch.device = CPU,
    loss: Any = None,
    optimizer: Optimizer | Optimize | None = None,
    steps: int = STEPS,
    tolerance: float = TOLERANCE,
) -> Parity:
    """What differs most on ``device``, as :func:`assert_same_step` compares it."""
    if not isinstance(model, nn.Module) or not any(p.requires_grad for p in model.parameters()):
        raise InputError(WHERE, f"expected a module that is trained, got {type(model).__name__}", key="model")
    if not leaves(batch):
        raise InputError(WHERE, f"expected a batch with tensors, got {type(batch).__name__}", key="batch")
    try:
        objective = Objective(loss, model)
        one, other = (_gradients(model, batch, objective, where) for where in (reference, device))
    except BadBatchError as bad:
        raise InputError(WHERE, bad.problem, key=bad.key, fix=bad.fix) from None
    largest = max((float(value.abs().max()) for value in one[1].values()), default=0.0)
    moved = [_steps(model, one[1], where, optimizer, steps) for where in (reference, device)]
    found = (
        worst("loss", one[0], other[0]),
        worst("gradient", one[1], other[1], at_least=max(SILENT * largest, 1e-30)),
        worst("step", moved[0], moved[1]),
    )
    part, name, difference = max(found, key=lambda each: _rank(each[2]))
    return Parity(str(device), str(reference), part, name, difference, tolerance)


def worst(part: str, expected: Tensors, got: Tensors, *, at_least: float = 1e-30) -> tuple[str, str, float]:
    """The tensor that differs most, relative to its largest value in ``expected`` or to ``at_least``; one that only one
    side has differs without end.
    """
    differences = dict.fromkeys(expected.keys() ^ got.keys(), math.inf)
    for name in expected.keys() & got.keys():
        one, other = expected[name], got[name]
        differences[name] = float((one - other).abs().max()) / max(float(one.abs().max()), at_least)
    name = max(sorted(differences), key=lambda each: _rank(differences[each]), default="")
    return part, name, differences.get(name, 0.0)


def _rank(difference: float) -> tuple[bool, float]:
    return math.isnan(difference), difference


def _devices(devices: str | Sequence[str | torch.device]) -> list[torch.device]:
    """The reference and at least one more."""
    if devices == "all":
        here = (kind for kind, found in present().items() if found and kind != "cpu")
        names: Sequence[str | torch.device] = ["cpu", *here]
        if len(names) == 1:
            raise unittest.SkipTest(f"{WHERE}: no other device here than the cpu")
    else:
        names = [devices] if isinstance(devices, str | torch.device) else devices
    found = [device_here(name, WHERE) for name in names]
    if not found:
        raise InputError(WHERE, "expected at least one device, got none", key="devices")
    return found if len(found) > 1 else [CPU, *found]


def _gradients(
    model: nn.Module, batch: Any, objective: Objective, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Loss, and gradients by the name of their parameter."""
    copied = _without_dropout(copy.deepcopy(model)).to(device)
    copied.zero_grad(set_to_none=True)
    moved = mapped(batch, lambda _, tensor: tensor.detach().to(device))
    with tf32(False), torch.enable_grad():
        loss = objective(copied, moved)
        loss.backward()  # type: ignore[no-untyped-call]
    grads = {name: p.grad.cpu() for name, p in copied.named_parameters() if p.grad is not None}
    return {"": loss.detach().cpu()}, grads


def _steps(
    model: nn.Module, gradients: Tensors, device: torch.device, optimizer: Optimizer | Optimize | None, steps: int
) -> dict[str, Tensor]:
    """How far each parameter moves in steps from growing gradients."""
    copied = copy.deepcopy(model).to(device)
    before = {name: p.detach().cpu().clone() for name, p in copied.named_parameters()}
    made = _optimizer(optimizer, model, copied, device)
    for step in range(steps):
        for name, p in copied.named_parameters():
            p.grad = (gradients[name] * (1.0 + step)).to(device) if name in gradients else None
        made.step()
    return {name: p.detach().cpu() - before[name] for name, p in copied.named_parameters()}


def _optimizer(
    optimizer: Optimizer | Optimize | None, model: nn.Module, copied: nn.Module, device: torch.device
) -> Optimizer:
    """One of the same kind and settings for the parameters of a copy."""
    if optimizer is None:
        return torch.optim.AdamW(copied.parameters(), lr=1e-3, fused=device.type in ("cpu", "cuda"))
    if isinstance(optimizer, Optimizer):
        twin = dict(zip(map(id, model.parameters()), copied.parameters(), strict=True))
        if not all(id(p) in twin for group in optimizer.param_groups for p in group["params"]):
            raise InputError(WHERE, "holds parameters that the model does not have", key="optimizer")
        groups = [{**group, "params": [twin[id(p)] for p in group["params"]]} for group in optimizer.param_groups]
        return type(optimizer)(groups, **optimizer.defaults)
    made: object = optimizer(list(copied.parameters())) if callable(optimizer) else optimizer
    if not isinstance(made, Optimizer):
        problem = f"expected an optimizer or a function that makes one, got {type(made).__name__}"
        raise InputError(WHERE, problem, key="optimizer")
    return made


def _without_dropout(model: nn.Module) -> nn.Module:
    """In training mode, as cuDNN's recurrent layers need it for gradients, but drawing no random numbers."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        if isinstance(module, nn.RNNBase):
            module.dropout = 0.0
    return model.train()


def _layer(model: nn.Module, name: str) -> str:
    """The kind of module that holds a parameter."""
    holder = dict(model.named_modules()).get(name.rpartition(".")[0])
    return type(holder).__name__ if name and holder is not None else ""
