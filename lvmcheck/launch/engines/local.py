"""local: processes of this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from lvmcheck.launch.device import DEVICES, cores, cuda_devices
from lvmcheck.launch.engine import Engine
from lvmcheck.launch.locks import is_free
from lvmcheck.launch.memory import available, taken_before
from lvmcheck.launch.place import Place, first_free
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.process import TrainerProcess, start_trainer

PACKAGE = EXTRA = None
OPTIONS: tuple[str, ...] = ()
PREFIXES: tuple[str, ...] = ()
GROWS = 60.0
"""Seconds in which a trainer that was started takes its memory; afterwards it is missing from what is available."""


class Local:
    """As many at a time as ``--lvm-jobs`` says, else as cores allow on a CPU and one on an accelerator.

    With ``--lvm-parallel auto`` one on each device, all at once where waves would leave cores idle, and none that does
    not fit into memory beside the others.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started: list[tuple[float, int]] = []

    def open(self) -> None:
        """Nothing to be made ready."""

    def take(self, plan: Plan, folder: Path, wanted: int) -> Place | None:
        kind = plan.device if plan.device in DEVICES else "other"
        at_once = max(1, cores() // (plan.threads * plan.ranks)) if kind == "cpu" else 1
        if not self._settings.parallel:
            return first_free(folder, *places(kind, self._settings.jobs or at_once))
        devices = cuda_devices() if kind == "cuda" else []
        if len(devices) > 1 and plan.ranks == 1 and not self._settings.jobs:
            names = [f"cuda-{device}" for device in devices]
            place = first_free(folder, names, [{"CUDA_VISIBLE_DEVICES": device} for device in devices])
        else:
            place = first_free(folder, *places(kind, self._settings.jobs or side_by_side(wanted, at_once)))
        if place is not None and not self._fits(plan, folder, Path(place.lock.lock_file)):
            place.release()
            return None
        return place

    def _fits(self, plan: Plan, folder: Path, own: Path) -> bool:
        """Whether memory is there for one more; alone, a run begins whatever it needs."""
        needs, there, now = taken_before(plan.folder.parent), available(), time.monotonic()
        self._started = [(when, held) for when, held in self._started if now - when < GROWS]
        fits = there is None or needs + sum(held for _, held in self._started) <= there
        if fits or all(is_free(path) for path in folder.glob("*.lock") if path != own):
            self._started.append((now, needs))
            return True
        return False

    def start(self, plan: Plan, resume: Path | None, environment: Mapping[str, str]) -> TrainerProcess:
        return start_trainer(plan, resume, environment)

    def close(self) -> None:
        """Trainers are ended by their jobs."""


def places(kind: str, number: int) -> tuple[list[str], list[dict[str, str]]]:
    """Names of equal places, and what their trainers are told: nothing."""
    return [f"{kind}-{place}" for place in range(number)], [{}] * number


def side_by_side(wanted: int, at_once: int) -> int:
    """How many of ``wanted`` equal runs to train at a time where ``at_once`` fill the cores.

    Three on two cores end after 1.5 times one's time when they share them, and after twice that in two waves.
    """
    return wanted if at_once < wanted < 2 * at_once else at_once


def make(settings: Settings) -> Engine:
    return Local(settings)
