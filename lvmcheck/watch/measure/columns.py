"""How much of each column of a regression's targets is explained."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

WINDOW, MOST, FEWEST = 8, 64, 8
"""Steps that count together, columns at most, and rows of a step from which they have a variance."""
LEARNED, UNLEARNED, BESIDE = 0.5, 0.02, 0.15
"""Part of a column's variance that is explained, at least, of one that is learned, and at most, of one that is not and
of one that is not as every other one."""
KEYS = ("learned", "unlearned", "columns", "every_other", "best", "worst", "rows")


def table(output: Any, target: Any) -> tuple[Tensor, Tensor] | None:
    """Output and target of a call, without their graph, where both are tables of the same few columns."""
    if not isinstance(target, Tensor) or target.requires_grad or not target.is_floating_point() or target.ndim < 2:
        return None
    columns = target[0].numel() if len(target) >= FEWEST else 0
    if output.shape != target.shape or not 2 <= columns <= MOST:
        return None
    return output.detach().flatten(1), target.detach().flatten(1)


class Columns:
    """Squared error and variance of each column over the latest measured steps."""

    def __init__(self) -> None:
        self._sums: deque[Tensor] = deque(maxlen=WINDOW)
        self._rows: deque[int] = deque(maxlen=WINDOW)

    def add(self, pair: tuple[Tensor, Tensor]) -> None:
        output, target = (tensor.float() for tensor in pair)
        if self._sums and self._sums[-1].shape[1] != target.shape[1]:
            self._sums.clear()
            self._rows.clear()
        error = (output - target).square().mean(0)
        self._sums.append(torch.stack([error, target.mean(0), target.square().mean(0)]))
        self._rows.append(len(target))

    def measured(self) -> Tensor | None:
        """:data:`KEYS`, float32 [7]; None of fewer steps. Columns that hardly vary are left out."""
        if len(self._sums) < WINDOW:
            return None
        error, mean, square = torch.stack(list(self._sums)).mean(0).unbind(0)
        variance = square - mean.square()
        varies = variance > 1e-6 * square.clamp_min(1e-30)
        explained = 1 - error / variance.clamp_min(1e-30)
        learned, beside = varies & (explained >= LEARNED), varies & (explained <= BESIDE)
        even = torch.arange(len(error), device=error.device) % 2 == 0
        every_other = torch.where(even, learned, beside).all() | torch.where(even, beside, learned).all()
        not_learned = beside & (every_other | (explained <= UNLEARNED))
        best = torch.where(varies, explained, torch.full_like(explained, -torch.inf)).amax()
        worst = torch.where(varies, explained, torch.full_like(explained, torch.inf)).amin()
        counts = [learned.sum(), not_learned.sum(), varies.sum(), every_other]
        found = torch.stack([count.float() for count in counts] + [best, worst])
        return torch.cat([found, found.new_full((1,), sum(self._rows))])
