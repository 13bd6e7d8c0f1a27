"""How fast a run trains beside what its machine can do at that moment: samples a second next to a calibration kernel.

Seconds alone say nothing on a shared machine; the share of the rate that a matrix product reaches on the same threads,
just before and just after, does. That share is the model-flops utilisation (PaLM, Chowdhery et al. 2022, appendix B),
of the operations that are really executed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from lvmcheck.testing.speed.stopwatch import synchronise

SIDE = {"cpu": 512}  # 3 ms of one core
BIG_SIDE = 4096  # what fills an accelerator
TIMES = 7


def clock_of(device: torch.device) -> Callable[[], float]:
    """CPU time where one thread computes on a CPU: what other processes take is in neither pace nor kernel. Elsewhere
    the clock on the wall.
    """
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def kernel_rate(device: torch.device) -> float:
    """Floating point operations a second of a square float32 product on ``device``, with the threads of the moment."""
    side = SIDE.get(device.type, BIG_SIDE)
    a, b = torch.ones(side, side, device=device), torch.ones(side, side, device=device)
    torch.mm(a, b)  # the first call prepares
    clock, took = clock_of(device), []
    for _ in range(TIMES):
        synchronise(device)
        began = clock()
        torch.mm(a, b)
        synchronise(device)
        took.append(clock() - began)
    return 2.0 * side**3 / statistics.median(took)


class ThroughputMeter:
    """Measures the training throughput of one epoch after another.

    Args:
        flops: operations of a sample, for the utilisation; None measures samples per second alone.
    """

    def __init__(self, device: torch.device, flops: float | None) -> None:
        self.device = device
        self.flops = flops
        self.clock = clock_of(device)
        self._before = 0.0
        self._began = 0.0
        self._wall = 0.0

    def begin(self) -> None:
        """Right before the first batch."""
        self._before = 0.0 if self.flops is None else kernel_rate(self.device)
        self._wall = time.perf_counter()
        self._began = self.clock()

    def end(self, samples: int) -> tuple[float, dict[str, float]]:
        """Right after the last of ``samples``: samples per second of wall-clock time, and the probe "throughput"."""
        synchronise(self.device)
        seconds = self.clock() - self._began
        on_the_wall = samples / (time.perf_counter() - self._wall)
        if self.flops is None:
            return on_the_wall, {}
        return on_the_wall, {
            "samples_per_second": samples / seconds,
            "kernel_before": self._before,
            "kernel_after": kernel_rate(self.device),
            "flops_per_sample": self.flops,
        }
