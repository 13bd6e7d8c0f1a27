"""Which device a run will use, guessed from the system alone: the parent never imports torch."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from lvmcheck.errors import InputError, nearest

DEVICES = ("auto", "cpu", "cuda", "mps")


def guess_device(asked: str) -> str:
    """``cpu``, ``cuda`` or ``mps``: what ``asked`` means here. The trainer decides and records the device it used."""
    if asked != "auto":
        return asked
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if Path("/dev/nvidiactl").exists() and visible not in ("", "-1"):
        return "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def cuda_devices() -> list[str]:
    """Names of the CUDA devices that this process may use, as ``CUDA_VISIBLE_DEVICES`` takes them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name not in ("", "-1")]
    try:
        return [str(number) for number in range(len(list(Path("/proc/driver/nvidia/gpus").iterdir())))]
    except OSError:
        return []


def check_device(asked: str, where: str) -> str:
    """The device as asked for.

    Raises:
        InputError: no device has that name.
    """
    if asked not in DEVICES:
        raise InputError(where, f"no device {asked!r}", fix=nearest(asked, DEVICES))
    return asked


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
