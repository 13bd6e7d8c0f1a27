"""Memory of this machine, and what runs of a suite have taken of it before."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lvmcheck.launch.guard import ENDED, V2
from lvmcheck.run.regular_file import read_json

MOST = 200
"""Runs of a suite that are looked at, newest first."""


def taken_before(runs: Path) -> int:
    """The largest memory, in bytes, of any trainer of these runs, as their guards measured it; 0 where none did.

    Args:
        runs: the folder of a suite's runs.
    """
    try:
        ended = sorted(runs.glob(f"*/{ENDED}"), key=lambda path: path.stat().st_mtime)[-MOST:]
    except OSError:
        return 0
    peaks = ((read_json(path) or {}).get("peak_bytes") for path in ended)
    return max((peak for peak in peaks if isinstance(peak, int)), default=0)


def available() -> int | None:
    """Bytes that new processes may take here: of the machine and of its control group; None where nobody says."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) << 10)
    with contextlib.suppress(OSError, ValueError):
        most, now = (int((Path(V2) / name).read_text()) for name in ("memory.max", "memory.current"))
        found.append(most - now)
    return min(found, default=None)
