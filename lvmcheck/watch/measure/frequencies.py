"""What a constant answer gives: the loss of the classes' frequencies, and the variance of the targets."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

WINDOW = 8
"""Losses whose mean counts."""
ARGUMENTS = ("input", "target", "weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing")
"""Of a cross entropy, in order."""


class Frequencies:
    """Counts of the classes that the one plain cross entropy of a step is asked for, and its latest values."""

    def __init__(self) -> None:
        self._counts: Tensor | None = None
        self._values: deque[Tensor] = deque(maxlen=WINDOW)
        self._several = False
        self.steps = 0

    def add(self, calls: list[tuple[Tensor, int, Tensor, int]]) -> None:
        """The calls of one step: targets, the class that is ignored, the loss and the number of classes."""
        self._several |= len(calls) > 1
        for target, ignored, value, classes in calls[:1]:
            flat = target.detach().reshape(-1)
            if self._counts is None or len(self._counts) != classes + 1:
                self._counts, self.steps = torch.zeros(classes + 1, device=flat.device), 0
                self._values.clear()
            counted = (flat != ignored) & (flat >= 0) & (flat < classes)
            place = torch.where(counted, flat, classes).long()
            self._counts.scatter_add_(0, place, torch.ones_like(place, dtype=self._counts.dtype))
            self._values.append(value.detach().float())
            self.steps += 1

    def measured(self) -> Tensor | None:
        """Entropy of the frequencies in nats, rows, classes and mean loss of the last steps, float32 [4].

        The entropy is corrected for the rows being few (Miller and Madow).
        """
        if self._counts is None or self._several or len(self._values) < WINDOW:
            return None
        counts = self._counts[:-1]
        rows = counts.sum().clamp_min(1)
        share = counts / rows
        entropy = -(share * share.clamp_min(1e-30).log()).sum() + ((counts > 0).sum() - 1) / (2 * rows)
        classes = rows.new_full((), len(counts))
        return torch.stack([entropy, rows, classes, torch.stack(list(self._values)).mean()])


VARIANCE = ("left", "variance", "values", "loss")


class Variance:
    """Variance of the targets of the one plain squared error of a step, and how much of it the last steps left."""

    def __init__(self) -> None:
        self._variances: deque[Tensor] = deque(maxlen=WINDOW)
        self._values: deque[Tensor] = deque(maxlen=WINDOW)
        self._count = 0
        self._several = False

    def add(self, calls: list[tuple[Tensor, Tensor]]) -> None:
        """The calls of one step: target and loss."""
        self._several |= len(calls) > 1
        for target, value in calls[:1]:
            rows = target.detach().float().flatten(1) if target.ndim > 1 else target.detach().float()[:, None]
            self._variances.append(rows.var(0, correction=0).mean())
            self._values.append(value.detach().float())
            self._count += target.numel()

    def measured(self) -> Tensor | None:
        """:data:`VARIANCE` of the last steps, whose own targets are compared: noise of a batch is in both; [4]."""
        if self._several or len(self._values) < WINDOW:
            return None
        variance, loss = torch.stack(list(self._variances)).mean(), torch.stack(list(self._values)).mean()
        count = variance.new_full((), self._count)
        return torch.stack([loss / variance.clamp_min(1e-30), variance, count, loss])


def plain_target(name: str, args: Any, more: dict[str, Any], result: Tensor) -> bool:
    """Whether a call of cross_entropy or nll_loss is the plain mean over classes: no weights, no smoothing."""
    given = dict(zip(ARGUMENTS, args, strict=False)) | more
    target = given.get("target")
    plain = (
        given.get("weight") is None and not given.get("label_smoothing") and given.get("reduction", "mean") == "mean"
    )
    classes = isinstance(target, Tensor) and not target.is_floating_point()
    return name in ("cross_entropy", "nll_loss") and plain and classes and not result.ndim
