"""The device and threads that a session of this suite measures on."""

from __future__ import annotations

import os

from lvmcheck.errors import InputError
from lvmcheck.launch.device import check_device, cores
from lvmcheck.testing.speed.stopwatch import Place
from models.runtime.session import pick_device

THREADS = "LVM_THROUGHPUT_THREADS"


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


def asked(device: str | None) -> Place:
    """:func:`place` with this process's environment."""
    return place(device, os.environ.get(THREADS))
