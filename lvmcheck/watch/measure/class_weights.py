"""Weights and ignored classes of a cross entropy, beside how often each class is asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lvmcheck.watch.measure.frequencies import ARGUMENTS

PAIR = 2
"""Classes of a binary loss."""
KEYS = ("classes", "rows", "range", "with_frequency", "against_frequency", "ignored", "one_a_row")


class ClassWeights:
    """Counts what the first cross entropy of a step with one class for each row of logits is asked for."""

    def __init__(self) -> None:
        self._counts: Tensor | None = None
        self._weight: Tensor | None = None
        self._ignored = -1
        self._rows = True

    def add(self, args: Any, more: dict[str, Any], batch: int | None) -> None:
        """A call of cross_entropy, nll_loss, or binary_cross_entropy_with_logits on a batch of that many rows."""
        if isinstance(more.get("pos_weight"), Tensor):
            self._binary(more.get("target", args[1] if len(args) > 1 else None), more["pos_weight"])
            return
        given = dict(zip(ARGUMENTS, args, strict=False)) | more
        logits, target, weight = given.get("input"), given.get("target"), given.get("weight")
        if not isinstance(logits, Tensor) or not isinstance(target, Tensor) or target.is_floating_point():
            return
        if logits.ndim != 2 or target.ndim != 1:
            self._rows = False
            return
        classes, flat = logits.shape[1], target.detach()
        if self._counts is None or len(self._counts) != classes + 1:
            self._counts = torch.zeros(classes + 1, device=flat.device)  # the last is of what is no class
        place = torch.where((flat >= 0) & (flat < classes), flat, classes).long()
        self._counts.scatter_add_(0, place, torch.ones_like(place, dtype=self._counts.dtype))
        self._weight = weight.detach() if isinstance(weight, Tensor) and len(weight) == classes else None
        self._ignored = int(given.get("ignore_index", -100))
        self._rows = self._rows and batch == len(logits)

    def _binary(self, target: Any, weight: Tensor) -> None:
        """Of 0 and 1, where the weight of 1 is given beside that of 0, which is 1."""
        if not isinstance(target, Tensor) or weight.numel() != 1:
            return
        positive, self._rows = (target.detach() > 0).sum().float(), False  # masks of 0 and 1/255 count as well
        if self._counts is None or len(self._counts) != PAIR + 1:
            self._counts = torch.zeros(PAIR + 1, device=target.device)
        none = torch.zeros_like(positive)
        self._counts += torch.stack([target.numel() - positive, positive, none]).to(self._counts)
        self._weight = torch.cat([torch.ones(1, device=weight.device), weight.detach().float().reshape(1)])

    def measured(self) -> Tensor | None:
        """:data:`KEYS` as float32 [7]; None where no such call was seen.

        ``range`` is the largest weight over the smallest, ``with_frequency`` the largest ratio between two quotients of
        weight and frequency, ``against_frequency`` that of two products; 1 is exact. NaN without weights.
        """
        if self._counts is None:
            return None
        counts = self._counts[:-1]
        rows, seen = counts.sum().clamp_min(1), counts > 0
        nothing = counts.new_full((), float("nan"))
        spread = falls = wide = nothing
        if self._weight is not None:
            weight, share = self._weight.to(counts)[seen], counts[seen] / rows
            wide = weight.amax() / weight.amin().clamp_min(1e-12)
            quotient, product = weight / share, weight * share
            spread, falls = (found.amax() / found.amin().clamp_min(1e-12) for found in (quotient, product))
        ignored = counts[self._ignored] / rows if 0 <= self._ignored < len(counts) else counts.new_zeros(())
        known = [counts.new_full((), float(number)) for number in (len(counts), self._rows)]
        return torch.stack([known[0], rows, wide, spread, falls, ignored, known[1]])
