"""Moving averages over time without a loop over time.

``M_t = (1 - r_t) M_{t-1} + r_t x_t``, started anew at each run. Inside a chunk of positions that is one product with a
triangular matrix of weights; between chunks the ends are carried by another (as in models/lvm/parts/ssd.py,
whose decays are by head and whose states are matrices). Only products are used: torch's cumsum of floats is not
deterministic on CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.lvm.parts.ssd import running_sums

CHUNK = 16  # positions; measured on a CPU: 8 to 32 cost about the same at lengths of 64 to 512, 128 twice as much


def scan(
    x: Tensor,
    rate: Tensor,
    runs: Tensor | None = None,
    initial: Tensor | None = None,
    before: Tensor | None = None,
    *,
    exclusive: bool = False,
    chunk: int = CHUNK,
) -> Tensor:
    """All states M [B, T, C].

    Args:
        x: what is averaged [B, T, C].
        rate: r in [0, 1), [B, T] or [1, T].
        runs: [B, T] int64; nothing is carried from one run into another. None: each row is one run.
        initial: M before the first position [B, C], zero when None; it belongs to run ``before`` [B] (with ``runs``).
        exclusive: whether to give M_{t-1} at t, which is zero where a run begins.
        chunk: positions of a chunk; it changes the cost and nothing else.
    """
    weights = _Weights.of(rate, runs, before, exclusive=exclusive, chunk=chunk)
    return weights.apply(x, initial)


def mean(
    x: Tensor,
    rate: Tensor,
    runs: Tensor | None = None,
    initial: tuple[Tensor, Tensor] | None = None,
    before: Tensor | None = None,
    *,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """The states over what they are filled: ``M / F`` [B, T, C] and F [B, T] in 0..1, the sum of M's weights.

    Where F is zero, so is the mean. ``initial`` is M [B, C] and F [B]; the rest as for :func:`scan`.
    """
    weights = _Weights.of(rate, runs, before, exclusive=False, chunk=chunk)
    held, filled = (None, None) if initial is None else initial
    fill = weights.fill(filled)
    share = fill.clamp(min=torch.finfo(fill.dtype).tiny).unsqueeze(3)
    normed = _Weights(weights.within / share, weights.reach / share.squeeze(3), weights.last, weights.between)
    return normed.apply(x, held), fill.flatten(1, 2)[:, : x.shape[1]]


@dataclass(frozen=True)
class _Weights:
    """Of K chunks of L positions.

    Attributes:
        within: [B, K, L, L], weight of each x of the chunk at each position. reach: [B, K, L], of the state before it.
        last: [B, K, L], weight of each x in the state after the chunk.
        between: [B, K, K], weight of the state after chunk j - 1 in the state before chunk k.
    """

    within: Tensor
    reach: Tensor
    last: Tensor
    between: Tensor

    @classmethod
    def of(cls, rate: Tensor, runs: Tensor | None, before: Tensor | None, *, exclusive: bool, chunk: int) -> _Weights:
        size = min(chunk, rate.shape[1])
        rate = _cut(rate, size)
        log_decay = torch.log1p(-rate)
        since = running_sums(log_decay)
        until = _before(since) if exclusive else since
        cut = None if runs is None else _cut(runs, size)
        reach, whole, prior = until.exp(), since[:, :, -1], None
        left = (whole.unsqueeze(2) - since).exp() * rate
        if cut is not None:
            start = cut[:, :1, 0] if before is None else before.unsqueeze(1)
            prior = torch.cat((start, cut[:, :-1, -1]), dim=1)
            reach = reach * (cut == prior.unsqueeze(2))
            left = left * (cut == cut[:, :, -1:])
        ended = _before(running_sums(whole))  # not the sum less its last term: rounding would tell of later positions
        within = _decays(until, since, cut, diagonal=-1 if exclusive else 0) * rate.unsqueeze(2)
        return cls(within, reach, left, _decays(ended, ended, prior, diagonal=0))

    def apply(self, x: Tensor, initial: Tensor | None) -> Tensor:
        """The states [B, T, C] of x [B, T, C] after ``initial`` [B, C]."""
        steps = x.shape[1]
        x = _cut(x, self.reach.shape[2])
        if x.shape[1] == 1 and initial is None:
            return (self.within @ x).flatten(1, 2)
        ends = (self.last.unsqueeze(2) @ x).squeeze(2)
        carried = self.between @ _shifted(ends, initial)
        weights = torch.cat((self.reach.unsqueeze(3), self.within), dim=3)
        return (weights @ torch.cat((carried.unsqueeze(2), x), dim=2)).flatten(1, 2)[:, :steps]

    def fill(self, initial: Tensor | None) -> Tensor:
        """The sum of all weights at each position [B, K, L], after ``initial`` [B]."""
        carried = self.between @ _shifted(self.last.sum(dim=2), initial).unsqueeze(2)
        return self.within.sum(dim=3) + self.reach * carried


def _cut(x: Tensor, size: int) -> Tensor:
    """[B, T, ...] as [B, K, size, ...], filled up with zeros; as runs they are never looked at."""
    pad = -x.shape[1] % size
    padded = F.pad(x, (0, 0) * (x.ndim - 2) + (0, pad)) if pad else x
    return torch.unflatten(padded, 1, (-1, size))


def _shifted(ends: Tensor, initial: Tensor | None) -> Tensor:
    """[B, K, ...]: before each chunk the end of the one before it, ``initial`` (or zero) before the first."""
    first = torch.zeros_like(ends[:, 0]) if initial is None else initial
    return torch.cat((first.unsqueeze(1), ends[:, :-1]), dim=1)


def _before(sums: Tensor) -> Tensor:
    """[..., L] running sums without their own term."""
    return F.pad(sums[..., :-1], (1, 0))


def _decays(to: Tensor, since: Tensor, runs: Tensor | None, *, diagonal: int) -> Tensor:
    """[..., L, L]: entry (i, j) is ``exp(to_i - since_j)`` for j <= i + diagonal of one run, else 0."""
    size = to.shape[-1]
    kept = torch.ones(size, size, dtype=torch.bool, device=to.device).tril(diagonal)
    if runs is not None:
        kept = kept & (runs.unsqueeze(-1) == runs.unsqueeze(-2))
    exponent: Tensor = to.unsqueeze(-1) - since.unsqueeze(-2)
    return exponent.masked_fill(~kept, float("-inf")).exp()
