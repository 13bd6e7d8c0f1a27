"""Parts of windows of a series or a text, by fingerprint, so that windows that overlap are found at any offset."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmcheck.watch.measure.batches import MASK, _factors

SHORTEST, LONGEST = 8, 512
"""Steps of a window that is looked at."""
LEAST_TOKENS, PART_OF_TEXT = 32, 24
"""Tokens of a window that is looked at, and of a part, of which texts repeat few by chance."""
ROWS = 128
"""Windows of a batch."""
VALUES = 6
"""Different values that a part must hold, so that it is no padding and no constant."""


def parts(batch: Tensor, share: float = 0.5) -> Tensor | None:
    """Fingerprints of all parts of half of a window's length, int64 [windows, offsets]; None where there are none.

    Args:
        batch: floats [windows, steps] or [windows, steps, features], or tokens, int64 or int32 [windows, steps].
        share: that of a window's length, in place of half.
    """
    series = _series(batch)
    return None if series is None else _marks(series, is_text(batch), share)


def is_text(batch: Tensor) -> bool:
    """Whether the windows hold tokens."""
    return batch.dtype in (torch.int64, torch.int32) and batch.ndim == 2


def parts_of_text(batch: Tensor) -> bool:
    """Whether the windows hold tokens enough to be told apart."""
    return is_text(batch) and _series(batch) is not None


def reversed_parts(batch: Tensor) -> Tensor:
    """The same of windows in which time runs backward: no series holds them but by chance."""
    series = _series(batch)
    assert series is not None
    return _marks(series.flip(1), is_text(batch), 0.5)


def _series(batch: Tensor) -> Tensor | None:
    """The bits of the values, int64 [windows, steps, features]; None where nothing is to be told from them."""
    if is_text(batch):
        long = LEAST_TOKENS <= batch.shape[1] <= LONGEST
        return batch.detach()[:ROWS, :, None].long() if long else None
    if batch.ndim == 3 and batch.shape[1] < SHORTEST <= batch.shape[2]:
        batch = batch.transpose(1, 2)  # channels come first
    if not batch.is_floating_point() or batch.ndim not in (2, 3) or not SHORTEST <= batch.shape[1] <= LONGEST:
        return None
    values = batch.detach()[:ROWS].float().reshape(min(ROWS, len(batch)), batch.shape[1], -1)
    return values.contiguous().view(torch.int32).long()


def _marks(series: Tensor, text: bool, share: float) -> Tensor:
    length = max(PART_OF_TEXT if text else 4, int(series.shape[1] * share))
    cut = series.unfold(1, length, 1).flatten(2)  # [windows, offsets, values]
    mixed = (cut * _factors(cut.shape[2]).to(cut.device)).sum(2)
    mixed = (mixed ^ (mixed >> 29)) * 0x2545F4914F6CDD1D
    marks = (mixed ^ (mixed >> 32)) & MASK
    ordered = cut.sort(2).values
    plain = (ordered[..., 1:] != ordered[..., :-1]).sum(2) < VALUES - 1
    return marks.masked_fill(plain, -1)
