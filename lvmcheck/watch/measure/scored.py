"""What stands in the inputs and the targets of one step at once: padding that is scored, targets that are inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

PADDED, POSITIONS = 2, 4
"""Equal tokens at the end of a row from which it is padded, and positions below which none is."""
FEATURES, MOST, ROWS, KINDS = 3, 512, 24, 32
"""Fewest and most features, rows of a batch, and classes between which a copy of the target is looked for."""


def padding(inputs: Iterable[Tensor], target: Any, ignored: int) -> Tensor | None:
    """Share of the scored targets that are padding, share of padded rows, and of how many lengths; float32 [3].

    A row is padded where both its tokens and its targets end in a run of the id in which most rows end.
    """
    if not isinstance(target, Tensor) or target.is_floating_point() or target.is_complex():
        return None
    known = [each for t in inputs if _ids(t) for each in (t, t[:, 1:])]  # the first token may be nobody's target
    tokens = next((t for t in known if t.numel() == target.numel()), None)
    if tokens is None:
        return None
    targets = target.detach().reshape(tokens.shape)
    run, scored = _run_at_end(tokens), _run_at_end(targets)
    padded = (run >= PADDED) & (scored >= PADDED) & (run < tokens.shape[1])
    counted = ((scored * padded).sum() * (targets[:, -1].mode().values != ignored)).float()
    lengths = torch.zeros(tokens.shape[1] + 1, device=run.device).index_fill(0, run[padded], 1.0).sum()
    return torch.stack([counted / (targets != ignored).sum().clamp_min(1), padded.float().mean(), lengths])


def _ids(tensor: Tensor) -> bool:
    whole = not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool
    return whole and tensor.ndim == 2 and tensor.shape[1] >= POSITIONS


def _run_at_end(ids: Tensor) -> Tensor:
    """By how many times the most frequent last id each row ends; int64 [N]."""
    return (ids == ids[:, -1].mode().values).flip(1).cumprod(1).sum(1)


def copied(inputs: Tensor, target: Any) -> Tensor | None:
    """How far the target is from being a column of the inputs, times a number and plus another; and which column.

    1 - r^2 of the closest column, float32 [2]; of classes that of the class which is furthest from any column, and of
    several targets for a row that of the target which is. None where inputs are no table of numbers, or have less than
    twice as many columns as there are targets: what is put in may be what is to come out.
    """
    if not isinstance(target, Tensor) or target.requires_grad or not inputs.is_floating_point() or inputs.ndim != 2:
        return None
    rows, features = inputs.shape
    if rows < ROWS or not FEATURES <= features <= MOST or not target.ndim or len(target) != rows:
        return None
    x = inputs.detach().double()
    several = target.numel() // rows
    if several > 1:
        table = target.ndim == 2 and target.is_floating_point() and 2 * several <= features
        return _closest(x, target.detach().double(), first=True) if table else None
    y = target.detach().reshape(-1)
    plain = _closest(x, y.double()[:, None])
    if y.is_floating_point() or y.dtype == torch.bool:
        return plain
    kinds = torch.arange(KINDS, device=y.device)
    one_hot = _closest(x, (y[:, None] == kinds).double())
    return torch.where(plain[0] <= one_hot[0], plain, one_hot)


def _closest(x: Tensor, y: Tensor, *, first: bool = False) -> Tensor:
    """1 - r^2 of the worst of the targets with its closest column, and the column of that target, or of the first."""
    a, b = x - x.mean(0), y - y.mean(0)
    sizes = a.square().sum(0)[:, None] * b.square().sum(0)[None]
    alike = (a.T @ b).square() / sizes.clamp_min(1e-300)
    alike = torch.where(sizes > 0, alike, torch.zeros_like(alike))
    best, where = alike.max(0)
    there = b.square().sum(0) > 0
    worst = torch.where(there, best, torch.ones_like(best)).min() * there.any()
    told = where[0] if first else where[torch.where(there, best, torch.full_like(best, 2)).argmin()]
    return torch.stack([1 - worst, told.double()]).float()


def sides(target: Any) -> Tensor | None:
    """Share of ones among the targets of a loss of two classes, and how many they are, float32 [2].

    None where there is not one target of 0 or 1 for each row, as far as its shape and type say.
    """
    if not isinstance(target, Tensor) or target.requires_grad or not target.ndim or target.numel() != len(target):
        return None
    values = target.detach().float()
    plain = ((values == 0) | (values == 1)).all()
    share = torch.where(plain, values.mean(), torch.full_like(values.mean(), torch.nan))
    return torch.stack([share, torch.full_like(share, len(target))])


class Kinds:
    """Counts the classes that a loss over one class for each row is asked for."""

    def __init__(self) -> None:
        self._seen: Tensor | None = None

    def add(self, logits: Any, target: Any, ignored: int) -> Tensor | None:
        """Classes in this batch, its rows, classes seen so far, and all that there are, float32 [4]; else None."""
        logits = logits[0] if logits else None
        if not isinstance(logits, Tensor) or not isinstance(target, Tensor) or target.is_floating_point():
            return None
        if logits.ndim != 2 or target.ndim != 1 or logits.shape[1] > MOST:
            return None
        classes, flat = logits.shape[1], target.detach()
        counted = (flat != ignored) & (flat >= 0) & (flat < classes)
        here = torch.zeros(classes + 1, device=flat.device)
        here.scatter_add_(0, torch.where(counted, flat, classes).long(), torch.ones_like(flat, dtype=here.dtype))
        if self._seen is None or len(self._seen) != len(here):
            self._seen = torch.zeros_like(here)
        self._seen = self._seen + here
        counts = [(here[:-1] > 0).sum(), counted.sum(), (self._seen[:-1] > 0).sum()]
        return torch.stack([count.float() for count in counts] + [here.new_full((), classes)])
