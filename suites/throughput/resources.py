"""What a measurement takes besides time: memory at its peak, energy, and the batch that would fit."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from lvmcheck.errors import InputError

T = TypeVar("T")
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


# -- a device that runs out of memory ----------------------------------------------------------------------------------
def fitted(what: str, device: torch.device, batch: int, make: Callable[[int], T]) -> T:
    """``make(batch)``.

    Raises:
        InputError: the device has not enough memory; it names the batch that would fit, found by halving.
    """
    try:
        return make(batch)
    except (RuntimeError, MemoryError) as problem:
        if not out_of_memory(problem):
            raise
    gc.collect()
    smaller = batch // 2
    while smaller and not _fits(smaller, make):
        smaller //= 2
    would = f"a batch of {smaller} fits" if smaller else "a batch of 1 does not fit either"
    raise InputError(
        "suites/throughput", f"{what}: a batch of {batch} does not fit into the memory of {device.type}; {would}"
    )


def _fits(batch: int, make: Callable[[int], object]) -> bool:
    _empty_cache()
    try:
        make(batch)
    except (RuntimeError, MemoryError) as problem:
        if not out_of_memory(problem):
            raise
        return False
    return True


def _empty_cache() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def out_of_memory(problem: BaseException) -> bool:
    """Whether an error of torch says that memory ran out: CUDA has a type for it, CPU and MPS only words."""
    said = str(problem)
    known = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(problem, torch.OutOfMemoryError | MemoryError) or any(words in said for words in known)
