"""This machine in words and numbers, without its name: what a figure must be read beside."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import torch

CPUINFO, CACHES = Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu/cpu0/cache")
DRIVER = Path("/proc/driver/nvidia/version")
UNKNOWN = "not told by this machine"
TYPICAL_CACHE = 32 << 20  # bytes; taken where the machine does not tell


def cpu_model() -> str:
    """The CPU's name."""
    named = re.search(r"^model name\s*:\s*(.+)$", _read(CPUINFO), re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def physical_cores(cpuinfo: str | None = None) -> int:
    """Cores that are no second thread of another one; all processors where the machine does not tell them apart."""
    text = _read(CPUINFO) if cpuinfo is None else cpuinfo
    packages = re.findall(r"^physical id\s*:\s*(\d+)$", text, re.MULTILINE)
    numbers = re.findall(r"^core id\s*:\s*(\d+)$", text, re.MULTILINE)
    return len(set(zip(packages, numbers, strict=False))) or os.cpu_count() or 1


def last_cache(folder: Path = CACHES) -> int | None:
    """Bytes of the last-level cache of the first core, or None where the machine does not tell."""
    sizes = [re.fullmatch(r"(\d+)([KM])", _read(path).strip()) for path in folder.glob("index*/size")]
    return max((int(m[1]) << {"K": 10, "M": 20}[m[2]] for m in sizes if m), default=None)


def blas() -> str:
    """The library of matrix products that torch was built with, as torch says it."""
    named = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return named[1] if named else UNKNOWN


def driver(device: torch.device) -> str:
    """The driver of an accelerator."""
    if device.type == "cuda":
        said = re.search(r"Kernel Module.*?(\d+\.\d+(?:\.\d+)?)", _read(DRIVER))
        return f"{said[1] if said else UNKNOWN}, CUDA {torch.version.cuda or torch.version.hip}"
    return f"macOS {platform.mac_ver()[0]}" if device.type == "mps" else "none"


def device_name(device: torch.device) -> str:
    """The name of what computes."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{cpu_model()} GPU" if device.type == "mps" else cpu_model()


def load() -> float | None:
    """Processes that wanted a core in the last minute, on average."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def facts(device: torch.device, threads: int) -> dict[str, object]:
    """What every stored result carries."""
    return {
        "cpu_model": cpu_model(),
        "physical_cores": physical_cores(),
        "logical_cores": os.cpu_count(),
        "last_level_cache_bytes": last_cache(),
        "threads": threads,
        "device": device.type,
        "device_name": device_name(device),
        "driver": driver(device),
        "torch": torch.__version__,
        "blas": blas(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "load_average": load(),
    }


def words(device: torch.device) -> str:
    """The same as half a sentence."""
    physical, logical = physical_cores(), os.cpu_count() or 1
    cores = f"{physical} cores" if physical == logical else f"{physical} cores ({logical} logical)"
    level = torch.backends.cpu.get_cpu_capability()
    versions = f"Python {platform.python_version()}, torch {torch.__version__} ({blas()})"
    on = f", {device_name(device)} (driver {driver(device)})" if device.type != "cpu" else ""
    return f"{cores} of {cpu_model()} ({level}){on}, {platform.system()}, {versions}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:1_000_000]
    except OSError:
        return ""
