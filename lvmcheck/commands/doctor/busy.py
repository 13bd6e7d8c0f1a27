"""Other processes that compute at this moment: a trainer gets what they leave of the cores."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lvmcheck.checks.wording import plural
from lvmcheck.commands.doctor.item import Item
from lvmcheck.launch.device import cores
from lvmcheck.text.fit import clean

LOOKS, PAUSE, MOST = 5, 0.05, 3
"""How often is looked, the seconds between two looks, and the processes that are named."""
PROC = Path("/proc")


@dataclass(frozen=True)
class Busy:
    """A process with threads that want a core in most looks, whether they get one or not."""

    pid: int
    name: str
    threads: int


def busy() -> Iterator[Item]:
    """What else wants the cores; nothing where the system does not tell (/proc)."""
    if (PROC / "self" / "stat").exists():
        yield load_item(busy_processes(), cores(), os.getloadavg()[0])


def load_item(found: Iterable[Busy], count: int, average: float) -> Item:
    """The finding about processes that want some of ``count`` cores."""
    most = sorted(found, key=lambda process: (-process.threads, process.pid))
    wanted = sum(process.threads for process in most)
    named = ", ".join(f"{process.name} ({process.pid})" for process in most[:MOST])
    more = f" and {len(most) - MOST} more" if len(most) > MOST else ""
    value = f"{named}{more}" if most else "no other process"
    value += f"; load average {average:.1f}"
    if wanted < count:  # a trainer of one thread has a core to itself
        return Item(group="machine", name="busy", value=value)
    one = f"a busy process with {plural(wanted, 'thread')} shares"
    who = f"{len(most)} busy processes share" if len(most) > 1 else one
    problem = f"{who} {plural(count, 'core')} with each run: slower, and its rate on the clock is not this machine's"
    return Item(group="machine", name="busy", value=value, problem=problem, fix="wait for them, or --lvm-jobs 1")


def busy_processes() -> list[Busy]:
    """Other processes of which threads were runnable in most of a few looks."""
    seen: Counter[int] = Counter()
    threads: Counter[int] = Counter()
    for look in range(LOOKS):
        if look:
            time.sleep(PAUSE)
        for pid, runnable in _runnable().items():
            seen[pid] += 1
            threads[pid] += runnable
    often = [pid for pid, times in seen.items() if times > LOOKS / 2]
    return [Busy(pid, _name(pid), max(1, round(threads[pid] / LOOKS))) for pid in often]


def _runnable() -> Mapping[int, int]:
    """Threads that run or wait for a core, by process; this one is left out."""
    found: dict[int, int] = {}
    for folder in PROC.glob("[0-9]*"):
        pid = int(folder.name)
        if pid != os.getpid():
            count = sum(_state(stat) == "R" for stat in folder.glob("task/*/stat"))
            if count:
                found[pid] = count
    return found


def _state(stat: Path) -> str:
    try:
        return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""  # it ended while we looked


def _name(pid: int) -> str:
    try:
        return clean((PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip())[:20]
    except OSError:
        return "ended"
