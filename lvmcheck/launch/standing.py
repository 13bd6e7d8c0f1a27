"""Where the runs of a home stand, read from their folders: who trains them, where, and how far they are."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lvmcheck.launch.engines import _files as files
from lvmcheck.launch.locks import is_free, run_lock
from lvmcheck.run import directory as rundir
from lvmcheck.run.event_lines import EventError, parse_line
from lvmcheck.run.events import Epoch
from lvmcheck.run.regular_file import open_regular, read_json

TAIL = 64 << 10
"""Bytes at the end of the events in which the last epoch is looked for."""


class Stand(StrEnum):
    """What a run does."""

    QUEUED = "queued"
    TRAINING = "training"
    STOPPING = "stopping"
    INTERRUPTED = "interrupted"  # nobody trains it; the next session that needs it continues it
    DIED = "died"
    STOPPED = "stopped"
    FINISHED = "finished"


@dataclass(frozen=True)
class Standing:
    """One run.

    Args:
        place: ``submitit 4711 on node3``; empty where nobody trains it.
        since: seconds since its task, or its run, began.
    """

    folder: Path
    stand: Stand
    epoch: int
    epochs: int | None
    place: str
    since: float

    @property
    def active(self) -> bool:
        return self.stand in (Stand.QUEUED, Stand.TRAINING, Stand.STOPPING)


def standings(home: Path) -> Iterator[Standing]:
    """Of every run below a home, those that make way for others left out."""
    for path in sorted((home / "runs").rglob(rundir.INFO)):
        folder = path.parent
        if not folder.suffix[1:].isdigit():  # moved aside
            yield standing_of(folder)


def standing_of(folder: Path) -> Standing:
    """Of the run in a folder."""
    info, task, begun = (read_json(folder / name) or {} for name in (rundir.INFO, files.TASK, files.BEGUN))
    stand = _stand(folder, task, begun)
    mine = bool(task.get("task")) and begun.get("task") == task.get("task")
    place = ""
    if stand in (Stand.QUEUED, Stand.TRAINING, Stand.STOPPING):
        host = f" on {begun.get('host')}" if mine else ""
        place = f"{task.get('engine')} {task.get('place')}{host}" if task.get("task") else "local"
    began = folder / (files.BEGUN if mine else rundir.INFO)
    epochs = info.get("config", {}).get("epochs")
    return Standing(
        folder=folder,
        stand=stand,
        epoch=_last_epoch(folder),
        epochs=epochs if isinstance(epochs, int) else None,
        place=place,
        since=time.time() - began.stat().st_mtime,
    )


def _stand(folder: Path, task: dict[str, Any], begun: dict[str, Any]) -> Stand:
    done = read_json(folder / rundir.DONE)
    lock = Path(run_lock(folder))
    held = lock.exists() and not is_free(lock)  # a lock that is not there must not be made by looking
    if done is not None and not held:
        return Stand.STOPPED if done.get("status") == "stopped" else Stand.FINISHED
    if not held:
        return Stand.DIED if (folder / rundir.FAILURE).exists() else Stand.INTERRUPTED
    if task.get("task") and begun.get("task") != task["task"]:
        return Stand.QUEUED
    return Stand.STOPPING if (folder / rundir.STOP).exists() else Stand.TRAINING


def _last_epoch(folder: Path) -> int:
    try:
        with open_regular(folder / rundir.EVENTS) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        if b'"event":"epoch"' in line:
            try:
                event = parse_line(line)
            except EventError:
                continue
            if isinstance(event, Epoch):
                return event.epoch
    return 0


def ask_to_stop(folder: Path, reason: str) -> None:
    """Ask whoever trains a run to save and stop.

    Raises:
        InputError: the folder cannot be written.
    """
    rundir.write_json(folder / rundir.STOP, {"reason": reason})
