"""A decaying sum over time without a loop over time.

``M_t = exp(l_t) M_{t-1} + x_t``, started anew at each run. Inside a chunk of positions it is one product with a
triangular matrix of decays; between chunks the ends are carried by another (as in models/ssd.py, whose decays are by
head and whose states are matrices). Only products are used: torch's cumsum of floats is not deterministic on CUDA.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.ssd import running_sums

CHUNK = 64  # positions: the cost is T * CHUNK + (T / CHUNK)^2, least between 32 and 128 for T up to 2048


def scan(
    x: Tensor,
    log_decay: Tensor,
    runs: Tensor | None = None,
    initial: Tensor | None = None,
    before: Tensor | None = None,
    *,
    chunk: int = CHUNK,
) -> Tensor:
    """All states M [B, T, C].

    Args:
        x: what is added [B, T, C].
        log_decay: l <= 0, [B, T] or [1, T].
        runs: [B, T] int64; nothing is carried from one run into another. None: each row is one run.
        initial: M before the first position [B, C], zero when None; it belongs to run ``before`` [B] (with ``runs``).
        chunk: positions of a chunk; it changes the cost and nothing else.
    """
    steps = x.shape[1]
    size = min(chunk, steps)
    pad = -steps % size
    x = torch.unflatten(F.pad(x, (0, 0, 0, pad)), 1, (-1, size))
    since = running_sums(torch.unflatten(F.pad(log_decay, (0, pad)), 1, (-1, size)))
    chunk_runs = None if runs is None else torch.unflatten(F.pad(runs, (0, pad), value=-1), 1, (-1, size))
    states = decays(since, since, chunk_runs) @ x
    if x.shape[1] > 1 or initial is not None:
        states = states + _carried(states[:, :, -1], since, chunk_runs, initial, before)
    return states.flatten(1, 2)[:, :steps]


def decays(to: Tensor, since: Tensor, runs: Tensor | None) -> Tensor:
    """[..., L, L]: entry (i, j) is ``exp(to_i - since_j)`` for j <= i of one run, else 0."""
    size = to.shape[-1]
    kept = torch.ones(size, size, dtype=torch.bool, device=to.device).tril()
    if runs is not None:
        kept = kept & (runs.unsqueeze(-1) == runs.unsqueeze(-2))
    exponent: Tensor = to.unsqueeze(-1) - since.unsqueeze(-2)
    return exponent.masked_fill(~kept, float("-inf")).exp()


def _carried(ends: Tensor, since: Tensor, runs: Tensor | None, initial: Tensor | None, before: Tensor | None) -> Tensor:
    """What each position [B, K, size] still holds of the chunks before its own, [B, K, size, C].

    ``ends`` [B, K, C] are the sums of single chunks at their last positions.
    """
    first = torch.zeros_like(ends[:, 0]) if initial is None else initial
    prior = torch.cat((first.unsqueeze(1), ends[:, :-1]), dim=1)  # k: end of the chunk before chunk k
    whole = since[:, :, -1]
    until = running_sums(whole) - whole
    reach = since.exp()
    prior_runs = None
    if runs is not None:
        start = runs[:, :1, 0] if before is None else before.unsqueeze(1)
        prior_runs = torch.cat((start, runs[:, :-1, -1]), dim=1)
        reach = reach * (runs == prior_runs.unsqueeze(2))
    carried = decays(until, until, prior_runs) @ prior
    return reach.unsqueeze(3) * carried.unsqueeze(2)
