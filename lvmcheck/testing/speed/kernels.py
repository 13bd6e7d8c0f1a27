"""Calibration kernels, which take turns with what is measured, and the counter of its operations."""

from __future__ import annotations

from collections.abc import Callable

import torch

from lvmcheck.testing.speed.flops import Counter
from lvmcheck.testing.speed.machine import TYPICAL_CACHE, last_cache

SIDE = 1024  # of the square product, whose rate is taken for the machine's best
SIDES = {"cpu": SIDE, "cuda": 4096, "mps": 4096}
"""The same where the device is not busy with a small one."""
SQUARE_FLOPS = 2 * SIDE**3


def gemm_name(side: int, dtype: str) -> str:
    """``gemm1024-float32``."""
    return f"gemm{side}-{dtype}"


GEMM = gemm_name(SIDE, "float32")
"""Name of the calibration kernel of what computes."""
COPY = "copy-float32"
"""Name of the calibration kernel of what moves memory: a copy of an array far larger than the last-level cache."""
BEYOND = 4  # arrays are that many times the last-level cache, as STREAM asks (McCalpin 1995)


def gemm(device: torch.device, side: int = SIDE, dtype: torch.dtype = torch.float32) -> Callable[[], object]:
    """One square product as a function of no argument."""
    a, b, out = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def copy(device: torch.device) -> Callable[[], object]:
    """A copy of an array that no cache holds; an accelerator's cache is far below 64 MiB."""
    source, target = (torch.ones(copy_bytes(device) // 8, device=device) for _ in range(2))
    return lambda: target.copy_(source)


def copy_bytes(device: torch.device) -> int:
    """Bytes that the copy reads and writes."""
    cache = (last_cache() or TYPICAL_CACHE) if device.type == "cpu" else 64 << 20
    return 2 * BEYOND * cache


def counted(step: Callable[[], object]) -> int:
    """Floating point operations of products, convolutions and attention in ``step``: a multiplication and an addition
    are two. Element-wise work does not count.
    """
    with Counter() as counter:
        step()
    return int(counter.total)
