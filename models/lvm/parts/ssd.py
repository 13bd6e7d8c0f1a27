"""State space duality (Dao and Gu 2024, Mamba2): a selective scan as matrix products over chunks.

Every head keeps a state S [P, N]: ``S_t = exp(dt_t a) S_{t-1} + dt_t x_t b_t'`` and ``y_t = S_t c_t``. Inside a chunk
that is one masked attention; between chunks the states are carried. Only products are used: torch's cumsum has no
deterministic CUDA implementation. Written for any device; on CUDA the fused kernels of mamba-ssm are taken when that
package is installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, *, chunk: int) -> Tensor:
    """The outputs y [B, T, H, P] from a zero state, by the fastest way there is for these tensors.

    Args:
        x: inputs [B, T, H, P]. dt: step sizes [B, T, H], > 0. a: decay rates [H], < 0.
        b, c: input and output maps [B, T, G, N]; head h uses group ``h // (H / G)``.
        chunk: steps of a chunk; it changes the cost and nothing else.
    """
    if fits_fused(x, chunk):
        fused, _ = fused_kernel()
        y: Tensor = fused(x, dt, a, b, c, chunk)  # type: ignore[misc]
        return y
    return chunked_scan(x, dt, a, b, c, chunk=chunk)


def chunked_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, *, chunk: int) -> Tensor:
    """:func:`scan` in plain PyTorch; computed in float32 or, where ``x`` is float64, in that."""
    kind, steps, groups = x.dtype, x.shape[1], b.shape[2]
    x, dt, a, b, c = (each.to(torch.promote_types(kind, torch.float32)) for each in (x, dt, a, b, c))
    size = min(chunk, steps)
    pad = -steps % size  # steps of size 0 change no state
    x, rate, b, c = (_cut(each, size, pad) for each in (x * dt.unsqueeze(3), dt * a, b, c))
    x, rate = (torch.unflatten(each, 3, (groups, -1)) for each in (x, rate))
    rate = rate.permute(0, 3, 4, 1, 2)
    # b batch, k chunk, l and s steps of it, g group, r head of the group, p value, n state
    within = segment_sums(rate)
    attention = torch.einsum("bklgn,bksgn->bgkls", c, b).unsqueeze(2) * within.exp()
    y = torch.einsum("bgrkls,bksgrp->bklgrp", attention, x)
    if x.shape[1] > 1:
        left = x * within[..., -1, :].exp().permute(0, 3, 4, 1, 2).unsqueeze(5)
        written = torch.einsum("bksgn,bksgrp->bkgrpn", b, left)
        since = running_sums(rate)
        ends = torch.einsum("bgrkj,bjgrpn->bkgrpn", segment_sums(since[..., -1]).exp(), written)
        before = F.pad(ends[:, :-1], (0, 0, 0, 0, 0, 0, 0, 0, 1, 0))
        carried = torch.einsum("bklgn,bkgrpn->bklgrp", c, before)
        y = y + carried * since.exp().permute(0, 3, 4, 1, 2).unsqueeze(5)
    return y.flatten(3, 4).flatten(1, 2)[:, :steps].to(kind)


def _cut(x: Tensor, size: int, pad: int) -> Tensor:
    """[B, T, ...] as [B, chunks, size, ...], filled up with zeros."""
    return torch.unflatten(F.pad(x, (0, 0) * (x.ndim - 2) + (0, pad)), 1, (-1, size))


def segment_sums(x: Tensor) -> Tensor:
    """[..., L] to [..., L, L]: entry (i, j) is ``x_{j+1} + ... + x_i`` for j <= i and minus infinity above.

    Sums of the terms themselves, not differences of running sums, which would cancel.
    """
    size = x.shape[-1]
    ones = torch.ones(size, size, dtype=x.dtype, device=x.device)
    sums = ones.tril() @ (x.unsqueeze(-1) * ones.tril(-1))
    return sums.masked_fill(ones.triu(1).bool(), float("-inf"))


def running_sums(x: Tensor) -> Tensor:
    """[..., L] to [..., L]: ``x_0 + ... + x_i``."""
    ones = torch.ones(x.shape[-1], x.shape[-1], dtype=x.dtype, device=x.device)
    return x @ ones.triu()


# -- fused kernels -----------------------------------------------------------------------------------------------------
@cache
def fused_kernel() -> tuple[Callable[..., Any] | None, str]:
    """The chunked scan of mamba-ssm and its version, or None and why it cannot be used."""
    try:
        number = version("mamba-ssm")
    except PackageNotFoundError:
        return None, "mamba-ssm is not installed"
    try:
        module = importlib.import_module("mamba_ssm.ops.triton.ssd_combined")
        return module.mamba_chunk_scan_combined, f"mamba-ssm {number}"
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        return None, f"mamba-ssm {number} is installed but cannot be imported ({str(error).splitlines()[0]})"


def fits_fused(x: Tensor, chunk: int) -> bool:
    """Whether the fused kernels are there and take these inputs: CUDA, not float64, chunks of a power of two, and
    nothing that is being exported.
    """
    small = x.is_cuda and x.dtype != torch.float64 and chunk >= 16 and chunk & (chunk - 1) == 0
    return small and not torch.compiler.is_exporting() and fused_kernel()[0] is not None
