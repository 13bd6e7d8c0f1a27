"""Batches for a loss, drawn by hypothesis in every precision and at every scale whose squares are numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

PRECISIONS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
Range = tuple[int, int]
GRID = 16
"""Values are whole numbers up to :data:`MOST` over this, times a power of ten: short to read, exact in bfloat16."""
MOST = 127
MANY = 32
"""Numbers of the largest batch."""
SURE = 60.0
"""Logit of a class that is certain: its cross-entropy is below any rounding."""


@dataclass(frozen=True)
class Batch:
    """What a loss is called with.

    Attributes:
        prediction: [N, D]. target: [N, D], or classes [N].
        best: the prediction that this target asks for, for the law ``least_at_target``.
    """

    prediction: Tensor
    target: Tensor
    best: Tensor

    def to(self, dtype: torch.dtype) -> Batch:
        """The same numbers in another precision; classes stay classes."""
        target = self.target.to(dtype) if self.target.is_floating_point() else self.target
        return Batch(self.prediction.to(dtype), target, self.best.to(dtype))

    def rows(self, which: slice | Tensor) -> Batch:
        """Some rows, in that order."""
        return Batch(self.prediction[which], self.target[which], self.best[which])

    def columns(self, which: slice) -> Batch:
        """Some columns of a target that has them."""
        return Batch(self.prediction[:, which], self.target[:, which], self.best[:, which])

    def but(self, **changed: Tensor) -> Batch:
        """The same with other tensors."""
        return replace(self, **changed)


def span(dtype: torch.dtype) -> Range:
    """Powers of ten at which the square of a difference is a normal number, and the sum of :data:`MANY` of them is one
    in the precision that sums are taken in: float32 for float16 and bfloat16.
    """
    facts = torch.finfo(dtype)
    sums = torch.finfo(dtype if facts.bits >= 32 else torch.float32).max / MANY
    longest = math.sqrt(min(facts.max, sums)) / (2 * MOST / GRID)
    return min(0, math.ceil(math.log10(math.sqrt(facts.tiny) * GRID))), max(0, math.floor(math.log10(longest)))


@st.composite
def _numbers(draw: st.DrawFn, shape: tuple[int, int], scale: Range) -> Tensor:
    """[N, D] in float64, no row of which is zero."""
    drawn = _bytes(draw, shape)
    values = (drawn // 2) * (1 - 2 * (drawn % 2)) / GRID  # 0, 0, 1, -1, 2 ...: small bytes are small numbers
    values[:, 0] = torch.where((values == 0).all(dim=1), torch.ones((), dtype=torch.float64), values[:, 0])
    return values * 10.0 ** draw(st.integers(*scale))


def _bytes(draw: st.DrawFn, shape: tuple[int, int]) -> Tensor:
    """One draw for all numbers from 0 to 255: many of one each are slow."""
    count = math.prod(shape)
    return torch.tensor(list(draw(st.binary(min_size=count, max_size=count))), dtype=torch.float64).reshape(shape)


@st.composite
def vectors(
    draw: st.DrawFn,
    rows: Range = (1, 6),
    width: Range = (1, 5),
    precisions: Sequence[torch.dtype] = PRECISIONS,
    *,
    scales: Range | None = None,
    unit_targets: bool = False,
) -> Batch:
    """Predictions and targets [N, D] without zero rows.

    Args:
        rows, width: smallest and largest N and D.
        scales: powers of ten; by default all at which a square is a number of the precision that was drawn.
        unit_targets: targets have length 1.
    """
    dtype = draw(st.sampled_from(list(precisions)))
    shape = draw(st.integers(*rows)), draw(st.integers(*width))
    reach = span(dtype) if scales is None else scales
    prediction = draw(_numbers(shape, reach))
    target = draw(_numbers(shape, (0, 0) if unit_targets else reach))
    if unit_targets:
        target = target / target.norm(dim=1, keepdim=True)
    return Batch(prediction, target, target).to(dtype)


@st.composite
def classes(
    draw: st.DrawFn,
    rows: Range = (1, 6),
    width: Range = (2, 5),
    precisions: Sequence[torch.dtype] = PRECISIONS,
    *,
    scales: Range | None = None,
) -> Batch:
    """Logits [N, C] and classes [N]."""
    dtype = draw(st.sampled_from(list(precisions)))
    shape = draw(st.integers(*rows)), draw(st.integers(*width))
    logits = draw(_numbers(shape, span(dtype) if scales is None else scales))
    target = (_bytes(draw, (1, shape[0]))[0] % shape[1]).long()
    best = SURE * torch.nn.functional.one_hot(target, shape[1]).double()
    return Batch(logits, target, best).to(dtype)


@st.composite
def binary(
    draw: st.DrawFn,
    rows: Range = (1, 6),
    width: Range = (1, 5),
    precisions: Sequence[torch.dtype] = PRECISIONS,
    *,
    scales: Range | None = None,
) -> Batch:
    """Logits [N, D] and targets [N, D] of 0 and 1."""
    dtype = draw(st.sampled_from(list(precisions)))
    shape = draw(st.integers(*rows)), draw(st.integers(*width))
    logits = draw(_numbers(shape, span(dtype) if scales is None else scales))
    target = _bytes(draw, shape) % 2
    return Batch(logits, target, SURE * (2 * target - 1)).to(dtype)


@st.composite
def probabilities(
    draw: st.DrawFn, rows: Range = (1, 6), width: Range = (1, 5), precisions: Sequence[torch.dtype] = PRECISIONS
) -> Batch:
    """Predictions [N, D] between 0 and 1, both left out, and targets [N, D] of 0 and 1."""
    dtype = draw(st.sampled_from(list(precisions)))
    shape = draw(st.integers(*rows)), draw(st.integers(*width))
    values = 1 + _bytes(draw, shape) % (GRID - 1)
    target = _bytes(draw, shape) % 2
    return Batch(values / GRID, target, target).to(dtype)
