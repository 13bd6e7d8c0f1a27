"""The clock that fits a device and its threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

CLOCKS = {
    "cpu": "CPU time",
    "cpu threads": "time on the clock",
    "cuda": "CUDA events",
    "mps": "time on the clock after synchronising",
}


@dataclass(frozen=True)
class Place:
    """Where something is measured: a device, and how many threads its CPU side has."""

    device: torch.device
    threads: int

    @property
    def clock(self) -> str:
        """What times it, in words."""
        several = self.device.type == "cpu" and self.threads > 1
        return CLOCKS["cpu threads" if several else self.device.type]

    def words(self) -> str:
        """``cpu, 1 thread, CPU time``."""
        return f"{self.device.type}, {self.threads} thread{'s' if self.threads > 1 else ''}, {self.clock}"


def synchronise(device: torch.device) -> None:
    """Waits until the device has done all it was given; on a CPU it always has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


class Stopwatch:
    """Seconds by the clock of the place in use; only differences of two readings mean anything.

    One thread on a CPU: this process's CPU time, which is the time of an idle machine whoever else uses the cores.
    Several: the time on the clock, since the CPU time of threads that wait for each other would count the waiting.
    CUDA: pairs of events on the current stream. MPS: the time on the clock, after everything given to it is done.
    """

    __name__ = "stopwatch"

    def __init__(self) -> None:
        self.use(Place(torch.device("cpu"), 1))

    def use(self, place: Place) -> None:
        """From now on reads the clock of ``place``; no reading may lie open."""
        self.place = place
        self._read: Callable[[], float] = self._reader(place)

    def __call__(self) -> float:
        return self._read()

    @staticmethod
    def _reader(place: Place) -> Callable[[], float]:
        if place.device.type == "cpu":
            return time.process_time if place.threads == 1 else time.perf_counter
        if place.device.type == "cuda":
            return _Events()
        return lambda: _after(place.device)


class _Events:
    """Sums what lies between consecutive events: a single span since the first would lose its digits in float32."""

    def __init__(self) -> None:
        self.last: torch.cuda.Event | None = None
        self.seconds = 0.0

    def __call__(self) -> float:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        event.synchronize()
        if self.last is not None:
            self.seconds += self.last.elapsed_time(event) / 1e3
        self.last = event
        return self.seconds


def _after(device: torch.device) -> float:
    synchronise(device)
    return time.perf_counter()


clock = Stopwatch()
"""The one that every measurement reads, so that all of a turn are taken by the same."""
