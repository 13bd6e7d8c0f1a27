"""Language models in a loop: how far the targets are shifted against the tokens, and whether later ones are seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lvmcheck.watch.measure.batches import first_input, main_output
from lvmcheck.watch.preflight.nested import mapped
from lvmcheck.watch.preflight.setup import difference

SHIFTS = (1, 0, 2, -1)
LEAST = 4


def tokens_of(inputs: Any) -> Tensor | None:
    """The ids [N, T] that a model is given."""
    found = first_input(inputs)
    if found is None or found.ndim != 2 or found.is_floating_point() or found.dtype == torch.bool:
        return None
    return found if found.shape[1] >= LEAST else None


def agreements(tokens: Tensor, target: Any, ignored: int) -> Tensor | None:
    """Share of the targets that are the token at their position plus each of :data:`SHIFTS`; None where none can be."""
    rows, long = tokens.shape
    if not isinstance(target, Tensor) or target.is_floating_point() or target.numel() % rows:
        return None
    targets = target.detach().reshape(rows, -1)
    if abs(targets.shape[1] - long) > 2 or targets.shape[1] < LEAST:
        return None
    found = []
    for shift in SHIFTS:
        low, high = max(0, -shift), min(targets.shape[1], long - shift)
        there, here = targets[:, low:high], tokens[:, low + shift : high + shift]
        used = there != ignored
        found.append(((there == here) & used).sum() / used.sum().clamp_min(1))
    return torch.stack([share.float() for share in found])


def sees_later(call: Callable[[tuple[Any, Any]], Any], inputs: tuple[Any, Any]) -> float | None:
    """How much outputs of earlier positions change with the last token; None where outputs have no positions.

    Args:
        call: the model; leaves nothing behind, and draws the same each time.
    """
    tokens = tokens_of(inputs)
    if tokens is None:
        return None
    other = tokens.clone()
    other[:, -1] = torch.where(tokens[:, -1] == tokens[:, 0], tokens[:, 1], tokens[:, 0])
    changed = mapped(inputs, lambda _, tensor: other if tensor is tokens else tensor)
    outputs = [main_output(call(given)) for given in (inputs, changed)]
    one, two = outputs
    if one is None or two is None or one.ndim < 3 or one.shape[:2] != tokens.shape or torch.equal(other, tokens):
        return None
    return difference(one[:, :-1], two[:, :-1])
