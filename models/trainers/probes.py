"""Measurements inside the loop that cost a backward pass, so they are taken now and then."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from models.losses import Terms


def term_gradient_norms(terms: Terms, parameters: Sequence[nn.Parameter]) -> dict[str, float]:
    """Global gradient norm of each **weighted** term over the parameters; ``.grad`` and the graph stay as they were.

    A term that no parameter can change, such as a mean of integers, has the norm 0.
    """
    norms = {}
    for name, (weight, value) in terms.items():
        if not value.requires_grad:
            norms[name] = 0.0
            continue
        gradients = torch.autograd.grad(weight * value, parameters, retain_graph=True, allow_unused=True)
        present = [gradient for gradient in gradients if gradient is not None]
        norms[name] = float(torch.nn.utils.get_total_norm(present))
    return norms


def due(step: int, every: int, active: int) -> bool:
    """Whether 1-based ``step`` is probed: the first and every ``every``-th, when two or more terms are active."""
    return every > 0 and active > 1 and (step == 1 or step % every == 0)
