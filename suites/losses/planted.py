"""Losses with one mistake each, and the law that it breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Loss = Callable[..., Tensor]


def no_eps(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - cosine."""
    _same_shape(prediction, target)
    one = prediction / prediction.norm(dim=1, keepdim=True)
    other = target / target.norm(dim=1, keepdim=True)
    return (1 - (one * other).sum(dim=1)).mean()


def root_of_zero(prediction: Tensor, target: Tensor) -> Tensor:
    """Finite everywhere, but its derivative is not where a prediction hits its target."""
    _same_shape(prediction, target)
    return (prediction - target).square().sum(dim=1).sqrt().mean()


def summed(prediction: Tensor, target: Tensor) -> Tensor:
    """Stated as a mean."""
    _same_shape(prediction, target)
    return (prediction - target).square().mean(dim=1).sum()


def summed_over_columns(prediction: Tensor, target: Tensor) -> Tensor:
    """Stated as a mean over all elements."""
    _same_shape(prediction, target)
    return (prediction - target).square().sum(dim=1).mean()


def broadcast(prediction: Tensor, target: Tensor) -> Tensor:
    """[N, 1] - [N] is [N, N]."""
    return (prediction - target).square().mean()


def detached(prediction: Tensor, target: Tensor) -> Tensor:
    """Half of the gradient of a square."""
    _same_shape(prediction, target)
    difference = prediction - target
    return (difference * difference.detach()).mean()


def cut_off(prediction: Tensor, target: Tensor) -> Tensor:
    """No gradient at all."""
    _same_shape(prediction, target)
    return (prediction - target).detach().square().mean()


def wrong_sign(prediction: Tensor, target: Tensor) -> Tensor:
    """Pushes away from the target."""
    _same_shape(prediction, target)
    return -(prediction - target).square().mean()


def flat(prediction: Tensor, target: Tensor) -> Tensor:
    """Costs the same everywhere."""
    _same_shape(prediction, target)
    return (prediction * 0.0).mean()


def twice_weighted(prediction: Tensor, target: Tensor, weight: float | Tensor = 1.0) -> Tensor:
    """The weight goes in before and after the mean."""
    _same_shape(prediction, target)
    rows = (prediction - target).square().mean(dim=1)
    return ((weight * rows) * weight).mean()


def neighbours(prediction: Tensor, target: Tensor) -> Tensor:
    """The first row counts more than the others."""
    _same_shape(prediction, target)
    rows = (prediction - target).square().mean(dim=1)
    return (rows.sum() + rows[0]) / (len(rows) + 1)


def overflowing(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy by the exponentials themselves."""
    if target.shape != logits.shape[:1]:
        raise ValueError("expected a class for each row")
    total = logits.exp().sum(dim=1)
    return (total.log() - logits.gather(1, target[:, None])[:, 0]).mean()


def half_inside(prediction: Tensor, target: Tensor) -> Tensor:
    """Computed in bfloat16, for speed, where float32 comes."""
    _same_shape(prediction, target)
    fast = prediction.dtype is torch.float32
    one, other = (prediction.bfloat16(), target.bfloat16()) if fast else (prediction, target)
    return (one - other).square().mean().to(prediction.dtype)


def _same_shape(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ValueError(f"expected the same shape, got {list(prediction.shape)} and {list(target.shape)}")


PLANTED: Mapping[Loss, tuple[str, ...]] = {
    no_eps: ("zero_vectors",),
    root_of_zero: ("zero_vectors", "finite"),  # both rows zero is a target that is hit
    summed: ("reduction",),
    broadcast: ("no_broadcast",),
    detached: ("gradient",),
    cut_off: ("gradient",),
    wrong_sign: ("least_at_target",),
    flat: ("least_at_target",),
    twice_weighted: ("weight_scale",),
    neighbours: ("row_order", "reduction"),  # a mean of any two parts knows no order
    overflowing: ("finite",),
    half_inside: ("same_in_every_precision",),
}
"""The laws that each breaks: the one that is meant, and what follows from it."""
LOOK: Mapping[Loss, str] = {
    no_eps: "one = prediction / prediction.norm(dim=1, keepdim=True)",
    root_of_zero: "return (prediction - target).square().sum(dim=1).sqrt().mean()",
    summed: "return (prediction - target).square().mean(dim=1).sum()",
    broadcast: "return (prediction - target).square().mean()",
    detached: "return (difference * difference.detach()).mean()",
    cut_off: "return (prediction - target).detach().square().mean()",
    twice_weighted: "return ((weight * rows) * weight).mean()",
    neighbours: "return (rows.sum() + rows[0]) / (len(rows) + 1)",
    overflowing: "total = logits.exp().sum(dim=1)",
}
"""The line that a broken law must point at, where one line is at fault."""
