"""What an optimizer really did in one step, measured from outside: parameters and gradients before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from models.optim.grad_ema import GradEMA, watched


@contextmanager
def measuring(optimizer: Optimizer, slow: GradEMA | None = None) -> Iterator[dict[str, float]]:
    """Measures the one ``optimizer.step()`` inside; the dict is filled on leaving.

    It holds, for each group of the optimizer (a copy of all its parameters is taken, so not for every step):

    - ``<group>/lr``: the group's rate, as the step could read it.
    - ``<group>/update_rms``, ``<group>/weight_rms``: root mean square of the change, and of the weights before it.

    For groups of kind "muon", from up to four of their squarest matrices:

    - ``<group>/orthogonality_error``: mean of ``|s / mean(s) - 1|`` over the singular values of the change, weight
      decay taken out. Absent when nothing changed.
    - ``<group>/gradient_orthogonality_error``: the same of the gradient that the step left behind.

    And with ``slow``, the gain of whatever filter changed ``.grad`` in the step: see :meth:`GradEMA.gains`.
    """
    before = {id(p): p.detach().clone() for group in optimizer.param_groups for p in group["params"]}
    raw = slow.raw() if slow else []
    values: dict[str, float] = {}
    yield values
    for index, group in enumerate(optimizer.param_groups):
        name = str(group.get("name", f"group{index}"))
        changes = [p.detach() - before[id(p)] for p in group["params"]]
        values[f"{name}/lr"] = float(group["lr"])
        values[f"{name}/update_rms"] = rms(changes)
        values[f"{name}/weight_rms"] = rms([before[id(p)] for p in group["params"]])
        if group.get("kind") == "muon":
            values.update(_orthogonality(name, group, before))
    if slow:
        values.update(slow.gains(raw))


def rms(tensors: Sequence[Tensor]) -> float:
    """Root mean square over all numbers of ``tensors``; NaN when one is."""
    norms = torch.stack(torch._foreach_norm([tensor.float() for tensor in tensors]))
    return float(norms.square().sum().div(sum(tensor.numel() for tensor in tensors)).sqrt())


def orthogonality_error(matrix: Tensor) -> float | None:
    """Mean of ``|s / mean(s) - 1|`` over the singular values ``s``: 0 when orthogonal up to scale; None when all 0."""
    if not bool(matrix.isfinite().all()):
        return float("nan")
    singular = torch.linalg.svdvals(matrix.double())
    mean = singular.mean()
    return float((singular / mean - 1.0).abs().mean()) if mean > 0 else None


def _orthogonality(name: str, group: dict[str, Any], before: dict[int, Tensor]) -> dict[str, float]:
    chosen = watched(group)
    decay = float(group["lr"]) * float(group.get("weight_decay", 0.0))
    changes = [p.detach() - (1.0 - decay) * before[id(p)] for p in chosen if not torch.equal(p, before[id(p)])]
    gradients = [p.grad for p in chosen if p.grad is not None]
    found = {"orthogonality_error": changes, "gradient_orthogonality_error": gradients}
    values = {}
    for key, matrices in found.items():
        errors = [error for error in map(orthogonality_error, matrices) if error is not None]
        if errors:
            values[f"{name}/{key}"] = sum(errors) / len(errors)
    return values
