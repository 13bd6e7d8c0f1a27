"""Gradients between the backward pass and the optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def clip(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """Scales gradients to a global norm of at most ``limit`` (0 is off) and returns the norm before.

    A norm that is not finite is returned as it is and makes every gradient NaN: the run shows it, nothing hides it.
    """
    if limit > 0:
        return torch.nn.utils.clip_grad_norm_(parameters, limit)
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
