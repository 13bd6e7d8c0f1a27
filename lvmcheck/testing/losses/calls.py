"""A loss called on a batch: its value and gradient, and how they compare."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lvmcheck.errors import InputError
from lvmcheck.testing.losses.batches import Batch
from lvmcheck.testing.losses.breach import Breach

Loss = Callable[..., Tensor]
Both = tuple[Tensor, Tensor]


def both(loss: Loss, batch: Batch, *more: object) -> Both:
    """The value, and the gradient of its sum by the prediction: zero where nothing leads there.

    Raises:
        InputError: the loss returns no tensor.
    """
    leaf = batch.prediction.detach().clone().requires_grad_(True)
    value = loss(leaf, batch.target, *more)
    if not isinstance(value, Tensor):
        raise InputError("loss", f"expected to return a tensor, got {type(value).__name__}")
    if not value.requires_grad:
        return value, torch.zeros_like(leaf)
    slope = torch.autograd.grad(value.sum(), leaf, allow_unused=True)[0]
    return value.detach(), torch.zeros_like(leaf) if slope is None else slope


def value_at(loss: Loss, prediction: Tensor, batch: Batch) -> float:
    """The sum of the values of another prediction for the same target."""
    with torch.no_grad():
        return float(loss(prediction, batch.target).sum())


def without_notice(loss: Loss, batch: Batch) -> Tensor | None:
    """The value where the loss neither raises nor warns, else None."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with torch.no_grad():
                return loss(batch.prediction, batch.target)
        except Exception:
            return None


def near(one: Tensor, other: Tensor, tolerance: float, *, least: float = 1e-3) -> bool:
    """Whether the largest difference is at most ``tolerance`` of the largest number of either, or of ``least``; NaN is
    near nothing. A scalar stands for numbers of any shape.
    """
    one, other = one.double(), other.double()
    if one.shape != other.shape and one.ndim and other.ndim:
        return False
    largest = max(float(one.abs().max()), float(other.abs().max()), least)
    return bool(((one - other).abs() <= tolerance * largest).all())


def differing(what: str, one: Tensor, other: Tensor, batch: Batch) -> Breach:
    """The place at which two results differ most; their sums where they have other shapes."""
    one, other = one.double(), other.double()
    if one.shape != other.shape:
        one, other = one.sum(), other.sum()
    index = int((one - other).abs().nan_to_num(nan=torch.inf).argmax())
    at = divmod(index, one.shape[-1]) if one.ndim == 2 else ()
    return Breach(what, float(one.reshape(-1)[index]), ("within", float(other.reshape(-1)[index])), batch, at)


def infinite(batch: Batch, found: Both, fit: Sequence[bool]) -> Breach | None:
    """The first of value and gradient that should be finite and is not."""
    for what, part, asked in zip(("value", "gradient"), found, fit, strict=True):
        if asked and not part.isfinite().all():
            index = int((~part.isfinite()).reshape(-1).nonzero()[0, 0])
            at = divmod(index, part.shape[-1]) if what == "gradient" and part.ndim == 2 else ()
            return Breach(what, float(part.reshape(-1)[index]), ("finite", 0.0), batch, at)
    return None
