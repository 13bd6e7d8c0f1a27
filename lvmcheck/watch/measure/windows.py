"""Parts of windows of a series, by fingerprint, so that windows that overlap are found whatever their offsets."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmcheck.watch.measure.batches import MASK, _factors

SHORTEST, LONGEST = 8, 512
"""Steps of a window that is looked at."""
ROWS = 128
"""Windows of a batch."""
VALUES = 6
"""Different values that a part must hold, so that it is no padding and no constant."""


def parts(batch: Tensor) -> Tensor | None:
    """Fingerprints of all parts of half of a window's length, int64 [windows, offsets]; None where there are none.

    Args:
        batch: floats [windows, steps] or [windows, steps, features].
    """
    series = _series(batch)
    return None if series is None else _marks(series)


def reversed_parts(batch: Tensor) -> Tensor:
    """The same of windows in which time runs backward: no series holds them but by chance."""
    series = _series(batch)
    assert series is not None
    return _marks(series.flip(1))


def _series(batch: Tensor) -> Tensor | None:
    if not batch.is_floating_point() or batch.ndim not in (2, 3) or not SHORTEST <= batch.shape[1] <= LONGEST:
        return None
    return batch.detach()[:ROWS].float().reshape(min(ROWS, len(batch)), batch.shape[1], -1)


def _marks(series: Tensor) -> Tensor:
    length = max(4, series.shape[1] // 2)
    cut = series.contiguous().view(torch.int32).long().unfold(1, length, 1).flatten(2)  # [windows, offsets, values]
    mixed = (cut * _factors(cut.shape[2]).to(cut.device)).sum(2)
    mixed = (mixed ^ (mixed >> 29)) * 0x2545F4914F6CDD1D
    marks = (mixed ^ (mixed >> 32)) & MASK
    ordered = cut.sort(2).values
    plain = (ordered[..., 1:] != ordered[..., :-1]).sum(2) < VALUES - 1
    return marks.masked_fill(plain, -1)
