"""What the machine itself can do, measured beside what is held against it: matrix products and memory traffic."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from suites.throughput.interleave import Lane
from suites.throughput.machine import TYPICAL_CACHE, last_cache

SIDE = 1024  # of the big square product, whose rate is taken for the machine's best
SQUARE_FLOPS = 2 * SIDE**3
GEMM = f"gemm{SIDE}-float32"
"""Name of the calibration kernel of what computes."""
COPY = "copy-float32"
"""Name of the calibration kernel of what moves memory: a copy of an array far larger than the last-level cache."""
BEYOND = 4  # arrays are that many times the last-level cache, as STREAM asks (McCalpin 1995)


def gemm(device: torch.device, side: int = SIDE) -> Lane:
    """One square product in float32 as a function of no argument."""
    a, b, out = (torch.randn(side, side, device=device) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def beyond_cache(device: torch.device) -> int:
    """Bytes of an array that no cache holds. An accelerator's is far below 64 MiB."""
    cache = (last_cache() or TYPICAL_CACHE) if device.type == "cpu" else 64 << 20
    return BEYOND * cache


@dataclass(frozen=True)
class Traffic:
    """Three ways to move memory, each as a lane with the bytes that it moves.

    Bytes are those that the program asks for, as STREAM counts them: a line that is read because it will be written
    does not count.
    """

    device: torch.device
    size: int

    def lanes(self) -> dict[str, tuple[Lane, int]]:
        """``{name: (lane, bytes)}`` on arrays of ``size`` bytes: read (a sum), copy, and triad ``a = b + 3 c``."""
        a, b, c = (torch.ones(self.size // 4, device=self.device) for _ in range(3))
        return {
            "read": (lambda: b.sum(), self.size),
            "copy": (lambda: a.copy_(b), 2 * self.size),
            "triad": (lambda: torch.add(b, c, alpha=3.0, out=a), 3 * self.size),
        }


def copy(device: torch.device) -> Lane:
    """The calibration kernel of memory as a function of no argument."""
    return Traffic(device, beyond_cache(device)).lanes()["copy"][0]


@dataclass(frozen=True)
class Ceilings:
    """The rates of this machine in this run, on the same threads: flop/s, and bytes/s from memory and within cache."""

    gemm: float
    memory: float
    cached: float
    cache: int

    def bandwidth(self, working_set: int) -> float:
        """The rate at which bytes of a working set can move at best: within the cache as long as it holds them."""
        return self.cached if working_set <= self.cache else self.memory

    def bound(self, flops: float, traffic: float, working_set: int) -> tuple[str, float]:
        """Roofline (Williams et al. 2009): which of both ceilings binds, and the seconds that it asks for at least."""
        products, moving = flops / self.gemm, traffic / self.bandwidth(working_set)
        return ("products", products) if products >= moving else ("memory", moving)
