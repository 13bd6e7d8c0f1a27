"""Following runs to their ends while they are exported."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.exporters import Exporter
from lvmcheck.exporters.feed import Feed, with_death
from lvmcheck.launch.locks import is_free, run_lock, trainer_lock
from lvmcheck.run.directory import EVENTS, INFO, Follower
from lvmcheck.run.view import Run

LOOK = 0.5
"""Seconds between two looks."""
GRACE = 2.0
"""Seconds for which a run without an end and without an owner is waited for: it may be about to be continued."""


class RunFollower:
    """A run directory that may still grow.

    Args:
        path: the directory; ``run.json`` or events are there.
        dead_after: seconds of silence after which a run that never had a lock counts as dead.

    Raises:
        InputError: there is no run.
    """

    def __init__(self, path: Path, dead_after: float) -> None:
        self.path = path.parent if path.name == EVENTS else path
        if not any((self.path / name).is_file() for name in (EVENTS, INFO)):
            kind = "a directory without events.jsonl" if self.path.is_dir() else "no such directory"
            raise InputError(path, f"expected a run directory to follow, got {kind}")
        self._follower = Follower(self.path)
        self._dead_after = dead_after
        self._owned = time.monotonic()

    def look(self) -> Run:
        """The run so far, over only where no process continues it; with its death where it has no completion record.

        Raises:
            InputError: its events cannot be read.
        """
        held = self._held()  # asked before reading, so that the last events are not missed
        run = self._follower.read()
        if held:
            self._owned = time.monotonic()
            return replace(run, done=None)  # whoever holds it may still judge it, or continue it
        if run.done is not None:
            return run
        if held is None:
            silence = self._silence()
            why = f"nothing was written for {silence:,.0f} s, and there is no completion record"
            return replace(with_death(run), death=why) if silence > self._dead_after else run
        if time.monotonic() - self._owned < GRACE:
            return run
        recorded = with_death(run)
        why = "the process that held it is gone, and there is no completion record"
        return recorded if recorded.over else replace(run, death=why)

    def _held(self) -> bool | None:
        """Whether a process holds this run; None where it never had a lock (any loop's ``lvmcheck.record``)."""
        places = [Path(place(self.path)) for place in (run_lock, trainer_lock)]
        there = [place for place in places if place.exists()]  # one that is not there must not be made by looking
        return any(not is_free(place) for place in there) if there else None

    def _silence(self) -> float:
        """Seconds since the run last wrote."""
        times = [(self.path / name).stat().st_mtime for name in (EVENTS, INFO) if (self.path / name).is_file()]
        return time.time() - max(times, default=time.time())


def follow(
    paths: Sequence[Path], exporter: Exporter, into: Path, *, dead_after: float
) -> Iterator[tuple[Feed, Run, str | None]]:
    """Export runs while they grow; yields each at its end, with the place of an equal export that was there already.

    Raises:
        InputError: a run cannot be read or exported. Exports that are not at their end are let go.
    """
    feeds = [(RunFollower(path, dead_after), Feed(path, exporter, into)) for path in paths]
    begun: set[Path] = set()
    try:
        while feeds:
            for watch, feed in list(feeds):
                run = watch.look()
                if not run.events and not run.over:
                    continue
                there = _begin(feed, run) if watch.path not in begun else None
                begun.add(watch.path)
                if there is None:
                    feed.take(run)
                    if not run.over:
                        continue
                    feed.end(run)
                feeds.remove((watch, feed))
                yield feed, run, there
            if feeds:
                time.sleep(LOOK)
    finally:
        for _, feed in feeds:
            feed.abandon()


def _begin(feed: Feed, run: Run) -> str | None:
    """Where an equal export of a run that is over is already."""
    there = feed.unchanged(run)
    if there is not None and not run.over:
        raise InputError(
            there, f"{feed.path} was exported here before, and goes on", fix="Delete that export, or --into DIR."
        )
    return there
