"""Which loss an output goes into, by the gradient that comes back: every form has its own.

For logits z, p = softmax(z) and the one-hot target y, cross entropy gives p - y. Applied to p in place of z it gives
J (softmax(p) - y) with J the Jacobian of softmax, and the negative of p itself, without a log, gives -J y.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

FORMS = ("cross_entropy", "softmax_twice", "no_log", "unweighted")


def loss_form(logits: Tensor, gradient: Tensor) -> Tensor:
    """How far a gradient is from each form, 0 to 1 (the sine of the angle), float32 [4]; NaN where there is none.

    The rows of cross entropy and of a softmax too many may have weights of their own (class weights). Without a log
    the rows point where those of cross entropy do, and only their lengths differ, so that the whole is compared, with
    the last of the four: cross entropy without weights.

    Args:
        logits, gradient: float32 [n, classes], at least three classes.
    """
    used = gradient.abs().amax(1) > 0
    target = one_hot(gradient.argmin(1), logits.shape[1]).float()
    p = logits.softmax(1)
    plain, twice = p - target, _through_softmax(p, p.softmax(1) - target)
    bare = _through_softmax(p, -target) * used[:, None]
    by_row = torch.stack([_sine(gradient, plain), _sine(gradient, twice)]).where(used, torch.nan)
    flat = gradient.reshape(1, -1)
    whole = torch.cat([_sine(flat, bare.reshape(1, -1)), _sine(flat, (plain * used[:, None]).reshape(1, -1))])
    return torch.cat([by_row.nanmedian(dim=1).values, whole.where(used.any(), torch.nan)])


def _sine(a: Tensor, b: Tensor) -> Tensor:
    """What is left of each row of ``a`` beside ``b``, relative to it; 1 where they point apart."""
    dot = (a * b).sum(1, keepdim=True)
    rest = a - b * dot / b.square().sum(1, keepdim=True).clamp_min(1e-30)
    sine: Tensor = rest.square().sum(1).sqrt() / a.square().sum(1).sqrt().clamp_min(1e-30)
    return sine.where(dot[:, 0] > 0, 1.0)


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
