"""Gradients and optimizer steps on an accelerator beside those of the CPU, parameter by parameter.

MPS has had silently wrong gradients and optimizer steps (pytorch issues 118115, 162730, 190056); a benchmark of a wrong
step means nothing, and a run on it less.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lvmcheck.errors import InputError
from models.runtime.session import precise

STEPS = 3
TOLERANCE = 1e-3
"""Largest difference relative to the largest value of the tensor. Another order of summing in float32 gives 1e-6 to
1e-4; TF32 would give more and is off here."""
SILENT = 1e-5
"""A gradient this far below the largest of the model is rounding (a key's bias under a softmax) and not compared by
its own size."""

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Parity:
    """What :func:`compare` found.

    Attributes:
        what: "gradient" or "step", and the name of the parameter that differs most.
        difference: relative to the largest value on the CPU; NaN where a value is not finite.
    """

    what: str
    difference: float

    @property
    def holds(self) -> bool:
        """Whether the accelerator computed the same; NaN is not the same."""
        return self.difference <= TOLERANCE


def compare(model: nn.Module, context: Tensor, target: Tensor, device: torch.device) -> Parity:
    """Compares gradients of the mean squared error, then :data:`STEPS` steps of AdamW from equal gradients.

    The steps start from the CPU's gradients on both sides: Adam divides by a gradient's size, so that the rounding of a
    tiny one would decide the direction of its step. ``model`` itself stays as it is.

    Args:
        context: [B, T, D]. target: [B, D].
    """
    cpu = torch.device("cpu")
    gradients = [_gradients(model, context, target, where) for where in (cpu, device)]
    largest = max(float(value.abs().max()) for value in gradients[0].values())
    found = [worst("gradient", gradients[0], gradients[1], at_least=SILENT * largest)]
    steps = [_steps(model, gradients[0], where) for where in (cpu, device)]
    found.append(worst("step", steps[0], steps[1]))
    return max(found, key=lambda each: (each.difference != each.difference, each.difference))


def assert_matches_cpu(model: nn.Module, context: Tensor, target: Tensor, device: torch.device) -> Parity:
    """The same.

    Raises:
        InputError: the device does not compute what the CPU does; the first parameter to look at is named.
    """
    found = compare(model, context, target, device)
    if not found.holds:
        problem = (
            f"the {found.what} differs from that on the CPU by {found.difference:.3g} of its largest value, where at "
            f"most {TOLERANCE:g} is rounding: nothing trained or measured there can be trusted"
        )
        raise InputError(f"device {device}", problem, fix='Train with device = "cpu", or with another torch.')
    return found


def worst(what: str, expected: Tensors, got: Tensors, *, at_least: float = 1e-30) -> Parity:
    """The tensor that differs most, relative to its largest value on the CPU or to ``at_least``."""
    differences = {
        name: float((value - got[name]).abs().max()) / max(float(value.abs().max()), at_least)
        for name, value in expected.items()
    }
    name = max(differences, key=lambda each: (differences[each] != differences[each], differences[each]))
    return Parity(f"{what} of {name}", differences[name])


def _gradients(model: nn.Module, context: Tensor, target: Tensor, device: torch.device) -> dict[str, Tensor]:
    copied = _without_dropout(copy.deepcopy(model)).to(device)
    copied.zero_grad(set_to_none=True)
    with precise("float32", device):
        raw, _ = copied(context.to(device), return_raw=True)
        nn.functional.mse_loss(raw, target.to(device)).backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.cpu() for name, p in copied.named_parameters() if p.grad is not None}


def _steps(model: nn.Module, gradients: Tensors, device: torch.device) -> dict[str, Tensor]:
    """How far each parameter moves, as the trainer's optimizer moves it."""
    copied = copy.deepcopy(model).to(device)
    before = {name: p.detach().cpu().clone() for name, p in copied.named_parameters()}
    optimizer = torch.optim.AdamW(copied.parameters(), lr=1e-3, fused=device.type in ("cpu", "cuda"))
    for step in range(STEPS):
        for name, p in copied.named_parameters():
            p.grad = (gradients[name] * (1.0 + step)).to(device) if name in gradients else None
        optimizer.step()
    return {name: p.detach().cpu() - before[name] for name, p in copied.named_parameters()}


def _without_dropout(model: nn.Module) -> nn.Module:
    """In training mode, as cuDNN's recurrent layers need it for gradients, but drawing no random numbers."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.RNNBase):
            module.dropout = 0.0
    return model.train()
