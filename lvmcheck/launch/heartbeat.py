"""Signs of life of a trainer: steps, events and output; and what happens to one that gives none for too long."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.launch.stacks import STACKS
from lvmcheck.run import directory as rundir

if TYPE_CHECKING:
    from lvmcheck.launch.engine import Task

BEAT = "heartbeat"
"""A file of the run directory that the trainer rewrites while it makes steps, however many one event sums up."""
DUMP = 1.0
"""Seconds that the stacks of a trainer that hangs get to be written."""


class Beat:
    """The trainer's side: call it now and then, from a thread of its own.

    Args:
        steps: how many steps it has made.
    """

    def __init__(self, folder: Path, steps: Callable[[], int]) -> None:
        self._path, self._steps, self._told = folder / BEAT, steps, -1

    def __call__(self) -> None:
        now = self._steps()
        if now != self._told:
            self._told = now
            with contextlib.suppress(OSError):
                self._path.write_text(str(now))


class Silence:
    """The session's side: ends a trainer that has given no sign of life for ``limit`` seconds.

    It first writes the stacks of all its threads to ``stacks.txt``.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self._paths = [str(folder / name) for name in (rundir.EVENTS, rundir.OUTPUT, BEAT)]
        self._limit = limit
        self._seen: list[tuple[int, int]] = []
        self._since = time.monotonic()
        self._dumped: float | None = None

    def check(self, process: Task) -> str | None:
        """Why the trainer was killed; None while it lives, or waits for a place. Does not wait."""
        now = time.monotonic()
        if not process.began:
            self._since = now
            return None
        signs = [_sign(path) for path in self._paths]
        if self._dumped is None:
            if signs != self._seen:
                self._seen, self._since = signs, now
            if now - self._since > self._limit:
                self._dumped = now
                process.dump_stacks()
            return None
        if now - self._dumped < DUMP:
            return None
        process.stop(grace=0.0)
        return (
            f"gave no sign of life for {self._dumped - self._since:.0f} s (no step, event or output; see {STACKS}; "
            "the limit is --lvm-timeout or [run] timeout) and was killed"
        )


def _sign(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - looked at many times a second
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
