"""The clock that fits a device, and the device that a session measures on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from lvmcheck.errors import InputError
from lvmcheck.launch.device import check_device, cores
from models.runtime.session import pick_device

THREADS = "LVM_THROUGHPUT_THREADS"
CLOCKS = {
    "cpu": "CPU time",
    "cpu threads": "time on the clock",
    "cuda": "CUDA events",
    "mps": "time on the clock after synchronising",
}


@dataclass(frozen=True)
class Place:
    """Where a session measures: a device, and how many threads its CPU side has."""

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


def place(device: str | None, threads: str | None) -> Place:
    """The place that ``--lvm-device`` and LVM_THROUGHPUT_THREADS ask for; one thread where nobody says.

    Raises:
        InputError: no device has that name or this machine lacks it, or no such number of threads.
    """
    asked = check_device(device or "auto", "--lvm-device")
    try:
        found = pick_device(asked, "suites/throughput")
    except InputError as problem:
        raise InputError(
            "--lvm-device", problem.problem, fix="Measure where the device is, or choose one of these."
        ) from None
    count, most = threads or "1", cores()
    if not count.isdecimal() or not 1 <= int(count) <= most:
        raise InputError(THREADS, f"expected 1 to {most}, the processors of this process, got {count[:20]!r}")
    return Place(found, int(count))


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
"""The one that every measurement of a session reads."""


def asked(device: str | None) -> Place:
    """:func:`place` with this process's environment."""
    return place(device, os.environ.get(THREADS))
