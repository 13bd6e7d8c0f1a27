"""run_directory: what lvmcheck itself writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lvmcheck.readers._asked import Asked
from lvmcheck.readers._columns import rename
from lvmcheck.run import events as ev
from lvmcheck.run.directory import EVENTS, load
from lvmcheck.run.view import Run

NAMED = (ev.Epoch, ev.Log, ev.Window)


def reads(path: Path) -> bool:
    return (path / EVENTS).is_file() or (path.name == EVENTS and path.is_file())


def read(path: Path, asked: Asked | None = None) -> Run:
    """The run in a directory, finished or not.

    Raises:
        InputError: there is none, its events cannot be read, or the column map names a metric that is not there.
    """
    run = load(path.parent if path.is_file() and path.name == EVENTS else path)
    return renamed(run, asked.columns) if asked is not None and asked.columns else run


def renamed(run: Run, columns: Mapping[str, str]) -> Run:
    """The run with our names for its metrics, by epoch and by step."""
    known = {name for event in run.events if isinstance(event, NAMED) for name in event.metrics}
    theirs = rename(known, columns, run.path or Path("run"))
    events = tuple(
        replace(event, metrics={theirs[name] or name: value for name, value in event.metrics.items()})
        if isinstance(event, NAMED)
        else event
        for event in run.events
    )
    return replace(run, events=events)
