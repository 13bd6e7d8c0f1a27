"""One number that many rows of a column have, far from all others: what stands for a missing value."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ROWS, BATCHES, COLUMNS = 64, 8, 512
"""Rows of a batch, batches, and columns at most that are looked at."""
KINDS, FEWEST, MOST, OUT = 16, 3, 0.5, 3.0
"""Different numbers that the others of a column are at least; rows, and share of rows, that have the one number; and
standard deviations of the whole table that it is away from its mean."""
KEYS = ("deviations", "share", "column", "value", "rows")


def table_of(inputs: Sequence[Tensor]) -> Tensor | None:
    """Some rows of the first input that is a table of numbers; None where there is none."""
    for tensor in inputs:
        if tensor.ndim == 2 and tensor.is_floating_point() and not tensor.is_sparse and 1 < tensor.shape[1] <= COLUMNS:
            return tensor.detach()[:ROWS].float().clone()
    return None


def far_value(tables: Sequence[Tensor]) -> Tensor | None:
    """Of the column whose lowest or highest number is furthest from the others: :data:`KEYS`, float32 [5].

    The distance is that of the nearest other number, in standard deviations of the others. None of fewer batches, or
    of tables that differ in width.
    """
    if len(tables) < BATCHES or len({table.shape[1] for table in tables}) > 1:
        return None
    rows = torch.cat(list(tables))
    found = [_ends(rows.sort(0).values), _ends((-rows).sort(0).values)]
    apart, share, value = (torch.cat(parts) for parts in zip(*found, strict=True))
    signs = torch.ones_like(value).index_fill(0, torch.arange(len(value) // 2, len(value), device=value.device), -1)
    apart = apart * (((value * signs) - rows.mean()).abs() > OUT * rows.std())
    at = apart.argmax()
    value = torch.where(at >= rows.shape[1], -value[at], value[at])
    return torch.stack([apart[at], share[at], (at % rows.shape[1]).float(), value, apart.new_full((), len(rows))])


def _ends(ordered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far the lowest number of each column is from the next one, the share of rows that have it, and the number."""
    lowest = ordered[0]
    same = ordered == lowest
    count = same.sum(0)
    others = torch.where(same, torch.nan, ordered)
    mean = others.nanmean(0)
    deviation = (others - mean).square().nanmean(0).sqrt()
    kinds = ((ordered[1:] != ordered[:-1]) & ~same[1:]).sum(0)
    gap = ordered.gather(0, count.clamp_max(len(ordered) - 1)[None])[0] - lowest
    counts = (kinds >= KINDS) & (count >= FEWEST) & (count <= MOST * len(ordered)) & (deviation > 0)
    return torch.where(counts, gap / deviation, torch.zeros_like(gap)), count / len(ordered), lowest
