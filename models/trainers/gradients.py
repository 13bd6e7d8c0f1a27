"""Gradients between the backward pass and the optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def clip(parameters: Sequence[nn.Parameter], limit: float, whole: Tensor | None = None) -> Tensor:
    """Scales gradients to a global norm of at most ``limit`` (0 is off) and returns the norm before.

    A norm that is not finite is returned as it is and makes every gradient NaN: the run shows it, nothing hides it.

    Args:
        whole: [N], all gradients and zeros, where one block of memory holds them.
    """
    if whole is not None:
        norm = torch.dot(whole, whole).sqrt()
        if limit > 0 and not _within(norm, limit):
            whole.mul_(limit / (norm + 1e-6))
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
