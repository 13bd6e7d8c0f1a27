"""Which loss an output goes into, by the gradient that comes back: every form has its own.

For logits z, p = softmax(z) and the one-hot target y, cross entropy gives p - y. Applied to p in place of z it gives
J (softmax(p) - y) with J the Jacobian of softmax, and the negative of p itself, without a log, gives -J y.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, one_hot

FORMS = ("cross_entropy", "softmax_twice", "no_log")


def loss_form(logits: Tensor, gradient: Tensor) -> Tensor:
    """Median cosine of the rows of a gradient with those of each form, float32 [3]; NaN where no row has one.

    Args:
        logits, gradient: float32 [n, classes], at least three classes.
    """
    used = gradient.abs().amax(1) > 0
    target = one_hot(gradient.argmin(1), logits.shape[1]).float()
    p = logits.softmax(1)
    candidates = (p - target, _through_softmax(p, p.softmax(1) - target), _through_softmax(p, -target))
    cosines = torch.stack([cosine_similarity(gradient, candidate, dim=1, eps=1e-30) for candidate in candidates])
    return cosines.where(used, torch.nan).nanmedian(dim=1).values


def targets(gradient: Tensor) -> Tensor:
    """The classes that a gradient of cross entropy pulls up, int64 [n]; -1 for rows without gradient."""
    return gradient.argmin(1).where(gradient.abs().amax(1) > 0, -1)


def affine_residual(output: Tensor, gradient: Tensor) -> Tensor:
    """Slope, intercept and relative residual of the gradient as a linear function of the output; float32 [3].

    A squared error against one target for all rows has residual 0: the rows have lost their own targets.
    """
    x, g = output.flatten(), gradient.flatten()
    dx, dg = x - x.mean(), g - g.mean()
    slope = (dx * dg).sum() / dx.square().sum().clamp_min(1e-30)
    residual = (dg - slope * dx).square().sum() / dg.square().sum().clamp_min(1e-30)
    return torch.stack([slope, g.mean() - slope * x.mean(), residual, dx.square().mean().sqrt()])


def _through_softmax(p: Tensor, gradient: Tensor) -> Tensor:
    return p * (gradient - (p * gradient).sum(1, keepdim=True))
