"""What a measurement takes besides time: memory at its peak, and energy."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
POWERCAP = Path("/sys/class/powercap")


# -- memory ------------------------------------------------------------------------------------------------------------
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


# -- energy ------------------------------------------------------------------------------------------------------------
@dataclass
class Energy:
    """Joules that the device took: RAPL's packages for a CPU (everything else on them counts), NVML for CUDA.

    Attributes:
        joules: since the beginning, or None where this machine does not tell.
    """

    device: torch.device
    powercap: Path = POWERCAP
    joules: float | None = None
    _last: list[int] | None = field(default=None, init=False)
    _ranges: list[int] = field(default_factory=list, init=False)
    _read: Callable[[], list[int] | None] = field(init=False)

    def __post_init__(self) -> None:
        zones = sorted(p for p in self.powercap.glob("*:*") if p.name.count(":") == 1)
        self._ranges = _numbers([zone / "max_energy_range_uj" for zone in zones]) or []
        on_cuda = self.device.type == "cuda"
        self._read = _nvml(self.device) if on_cuda else lambda: _numbers([zone / "energy_uj" for zone in zones])
        self._last = self._read() if self.device.type != "mps" else None
        self.joules = None if self._last is None else 0.0

    def lap(self) -> float | None:
        """Joules since the last lap; counters that began again at 0 are seen through."""
        now = None if self._last is None else self._read()
        if now is None or self._last is None or self.joules is None:
            return None
        ranges = self._ranges or [0] * len(now)
        spent = sum(b - a + (limit if b < a else 0) for a, b, limit in zip(self._last, now, ranges, strict=True)) / 1e6
        self._last, self.joules = now, self.joules + spent
        return spent


def _numbers(paths: list[Path]) -> list[int] | None:
    """What stands in files of one number each; None when there are none or one cannot be read."""
    try:
        return [int(path.read_text()) for path in paths] or None
    except (OSError, ValueError):
        return None


def _nvml(device: torch.device) -> Callable[[], list[int] | None]:
    """Microjoules of a GPU since its driver was loaded; None without the optional package pynvml."""
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]

        pynvml.nvmlInit()
        handle: Any = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # no package, no driver, or a GPU that has no such counter: all say "not told"
        return lambda: None
    return lambda: [1000 * int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))]
