"""Gradient clipping."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from models.fast.fused_adamw import FusedAdamW


def clip_gradients(optimizer: Optimizer, limit: float) -> Tensor:
    """:func:`clip` of everything that ``optimizer`` trains."""
    flat = optimizer.flat_gradient() if isinstance(optimizer, FusedAdamW) else None
    return clip([p for group in optimizer.param_groups for p in group["params"]], limit, flat)


def clip(parameters: Sequence[nn.Parameter], limit: float, flat: Tensor | None = None) -> Tensor:
    """Scales gradients to a global norm of at most ``limit`` (0 is off) and returns the norm before.

    A norm that is not finite is returned as it is, so that the run shows it. Scaling by it makes every gradient NaN
    where it is NaN; where it is infinite, finite gradients become 0 and infinite ones NaN.

    Args:
        flat: [N], all gradients and zero padding, where one block of memory holds them.
    """
    if flat is not None:
        norm = torch.dot(flat, flat).sqrt()
        if limit > 0 and not _within(norm, limit):
            flat.mul_(limit / (norm + 1e-6))
        return norm
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if limit > 0 and not (norm.device.type == "cpu" and _within(norm, limit)):
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def _within(norm: Tensor, limit: float) -> bool:
    """Whether torch's factor, ``min(1, limit / (norm + 1e-6))``, is 1: multiplying by it would write every gradient
    again for nothing. Reading the norm costs nothing on a CPU; on an accelerator it would wait for the device.
    """
    return bool(limit / (norm + 1e-6) >= 1.0)
