"""Build and devices of torch, read in a process of its own: a broken installation is reported, not crashed on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from lvmcheck.commands.doctor.item import Item, size
from lvmcheck.commands.doctor.packages import version
from lvmcheck.launch.device import guess_device

LIMIT = 60.0
"""Seconds that importing torch and the probe may take."""
CODE = """
import json, torch
cuda = torch.cuda.is_available()
devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())] if cuda else []
print(json.dumps({
    "version": torch.__version__,
    "built": torch.version.cuda or torch.version.hip or "CPU only",
    "cuda": cuda,
    "devices": [[d.name, d.total_memory, f"{d.major}.{d.minor}"] for d in devices],
    "mps": torch.backends.mps.is_available(),
    "threads": torch.get_num_threads(),
    "one": float(torch.ones(8, 8).matmul(torch.ones(8, 8)).sum()),
}))
"""
ONE = 512.0  # of the product in CODE


def torch(
    *, ask: bool, limit: float = LIMIT, command: tuple[str, ...] = (sys.executable, "-c", CODE)
) -> Iterator[Item]:
    """Build and devices; only the version with ``ask`` false.

    Args:
        limit: seconds it may take. command: what is run; prints one JSON object as its last line.
    """
    installed = version("torch")
    if installed is None:
        return  # packages reports it
    if not ask:
        yield Item(group="torch", name="version", value=f"{installed} (not imported: --no-torch)")
        return
    report = _probe(command, limit)
    if isinstance(report, str):
        fix = "pip install --force-reinstall torch, from one source with the other numeric packages"
        yield Item(group="torch", name="version", value=installed, problem=report, fix=fix, spoils=True)
        return
    yield Item(group="torch", name="version", value=f"{report['version']}, built for {report['built']}")
    yield Item(group="torch", name="threads", value=f"{report['threads']} by default")
    yield from _devices(report)


def _devices(report: dict[str, Any]) -> Iterator[Item]:
    for number, (name, memory, capability) in enumerate(report["devices"]):
        value = f"{name}, {size(memory)}, compute capability {capability}"
        yield Item(group="torch", name=f"cuda:{number}", value=value)
    kinds = [kind for kind in ("cuda", "mps") if report[kind]] or ["cpu"]
    expected = guess_device("auto")
    if expected in (*kinds, "cpu"):
        yield Item(group="torch", name="device", value=f"{kinds[0]} for device auto")
        return
    problem = f"the machine has {expected} and this torch cannot use it: runs would be expected on {expected}"
    fix = "install a build of torch for it (and its driver), or --lvm-device cpu"
    yield Item(group="torch", name="device", value=kinds[0], problem=problem, fix=fix, spoils=True)


def _probe(command: Sequence[str], limit: float) -> dict[str, Any] | str:
    """What it printed, or what is wrong with it."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"importing it took more than {limit:g} s"
    except OSError as problem:
        return f"cannot be started: {problem.strerror}"
    if done.returncode:
        tail = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        return f"cannot be imported or used: {tail[:200]}"
    try:
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return "printed something else when it was imported: another module of that name?"
    return report if report.get("one") == ONE else f"multiplies wrongly: {report.get('one')} for {ONE}"
