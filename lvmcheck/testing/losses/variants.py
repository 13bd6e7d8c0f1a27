"""Batches made of a batch: emptied, misshapen, cut into parts, and on the way to the target."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lvmcheck.testing.losses.batches import Batch

WAYS = (1e-3, 0.1, 0.5, 1.0)
"""How far predictions are moved from the best one towards the drawn one."""


def emptied(batch: Batch) -> Iterator[Batch]:
    """The first row or all rows zero, or too short to have a length: in prediction, in target, in both."""
    tiny = torch.finfo(batch.prediction.dtype).tiny
    vectors = batch.target.is_floating_point()
    for rows in (slice(0, 1), slice(None)):
        for short in (0.0, tiny):
            prediction, target = _with(batch.prediction, rows, short), batch.target
            yield batch.but(prediction=prediction)
            if vectors:
                yield batch.but(target=_with(target, rows, short))
                yield batch.but(prediction=prediction, target=_with(target, rows, short))


def _with(values: Tensor, rows: slice, number: float) -> Tensor:
    changed = values.clone()
    changed[rows] = number
    return changed


def misshapen(batch: Batch) -> Iterator[tuple[Batch, Batch]]:
    """Shapes that broadcast though they should not, each with what was meant."""
    if not batch.target.is_floating_point():
        yield batch.but(target=batch.target[:, None]), batch
        yield batch.but(target=batch.target[:1]), batch
        return
    one = batch.columns(slice(0, 1))
    yield one.but(target=one.target[:, 0]), one
    yield one.but(prediction=one.prediction[:, 0]), one
    yield batch.but(target=batch.target[:1]), batch


def parts(batch: Batch, *, columns: bool) -> Iterator[list[tuple[Batch, float]]]:
    """The batch in two parts with their shares, by rows, and by columns where asked."""
    rows, width = batch.prediction.shape
    if rows > 1:
        cut = rows // 2
        yield [(batch.rows(slice(0, cut)), cut / rows), (batch.rows(slice(cut, None)), 1 - cut / rows)]
    if columns and width > 1:
        yield [(batch.columns(slice(0, 1)), 1 / width), (batch.columns(slice(1, None)), 1 - 1 / width)]


def towards(batch: Batch) -> Iterator[Batch]:
    """Predictions between the best and the drawn one."""
    for way in WAYS:
        yield batch.but(prediction=batch.best + way * (batch.prediction - batch.best))
