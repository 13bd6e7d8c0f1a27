"""Grokfast's low-pass filter on gradients (Lee et al. 2024, arXiv 2405.20233, the EMA variant)."""

from __future__ import annotations

import cmath
from collections.abc import Sequence

import torch
from torch import Tensor


def low_pass_(gradients: Sequence[Tensor], averages: Sequence[Tensor], *, alpha: float, gain: float) -> None:
    """In place: ``mean <- alpha mean + (1 - alpha) g``, then ``g <- g + gain mean``.

    As published, a mean starts as the first gradient. The original project added ``gain (g - mean)``, which is a
    high-pass.

    Args:
        gradients, averages: same shapes, one each per parameter.
    """
    if gradients:
        torch._foreach_lerp_(list(averages), list(gradients), 1.0 - alpha)
        torch._foreach_add_(list(gradients), list(averages), alpha=gain)


def response(frequency: float, *, alpha: float, gain: float) -> complex:
    """Transfer function of :func:`low_pass_` at ``frequency`` in radians per step: 1 + gain at 0, nearly 1 at pi."""
    return 1.0 + gain * (1.0 - alpha) / (1.0 - alpha * cmath.exp(-1j * frequency))
