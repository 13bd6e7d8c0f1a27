"""Python, cores, memory and the environment variables that decide or distort numbers."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping

from lvmcheck import __version__
from lvmcheck.commands.doctor.item import Item, size
from lvmcheck.launch.device import cores
from lvmcheck.run.info import TAINTING

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def machine(environment: Mapping[str, str]) -> Iterator[Item]:
    """What the machine is, and what its environment does to runs."""
    yield Item(group="machine", name="python", value=f"{platform.python_version()} ({sys.executable})")
    yield Item(group="machine", name="lvmcheck", value=__version__)
    yield Item(group="machine", name="system", value=platform.platform())
    count = cores()
    total = os.cpu_count() or count
    limited = f" of {total}" if total != count else ""
    share = f"{count} for this process{limited}; a trainer takes 1 thread (run.threads), up to {count} train at a time"
    yield Item(group="machine", name="cores", value=share)
    yield Item(group="machine", name="memory", value=memory())
    for name in THREADS:
        yield _threads(name, environment.get(name), count)
    for name in TAINTING:
        if environment.get(name, "0") not in ("", "0"):
            yield Item(
                group="environment",
                name=name,
                value=environment[name],
                problem="casts doubt on every number of a run (clean_environment fails)",
                fix=f"unset {name}; lvmcheck explain clean_environment",
                spoils=True,
            )
    workspace = environment.get(WORKSPACE)
    own = "trainers are started with :4096:8" + ("" if workspace in (None, ":4096:8") else ", whatever is set here")
    yield Item(group="environment", name=WORKSPACE, value=f"{workspace or 'not set'}; {own}")


def _threads(name: str, setting: str | None, count: int) -> Item:
    item = Item(group="environment", name=name, value=f"{setting or 'not set'}; trainers get their own (run.threads)")
    if setting is None or (setting.isdigit() and 1 <= int(setting) <= count):
        return item
    problem = f"expected 1 to {count}, the number of cores" if setting.isdigit() else "expected a number of threads"
    return Item(
        group=item.group, name=name, value=item.value, problem=problem, fix=f"export {name}=1 (--lvm-inprocess uses it)"
    )


def memory() -> str:
    """Physical memory, where the system reports it."""
    try:
        return size(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError):
        return "not known"
