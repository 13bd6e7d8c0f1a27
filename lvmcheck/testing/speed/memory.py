"""The memory that a measurement takes at its peak."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Bytes that the work since :meth:`start` held at most, above what was held before.

    CPU: resident memory, its high-water mark set back by the kernel (Linux); memory freed before is given back first,
    since what the allocator reuses would not show. CUDA: what torch's allocator handed out. MPS: not told.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.before: int | None = None

    def start(self) -> None:
        """Forget earlier peaks."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.before = torch.cuda.memory_allocated(self.device)
        elif self.device.type == "cpu":
            self.before = resident("VmRSS") if _trim() and _forget() else None

    def peak(self) -> int | None:
        """Bytes, or None where the machine does not tell."""
        if self.before is None:
            return None
        now = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else resident("VmHWM")
        return None if now is None else now - self.before


def resident(name: str) -> int | None:
    """Bytes that the kernel reports under that name for this process."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:")), None)


def _forget() -> bool:
    try:
        CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _trim() -> bool:
    """Gives freed memory back to the system; False where the C library cannot."""
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return trim is not None
