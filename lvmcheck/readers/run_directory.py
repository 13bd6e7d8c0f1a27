"""run_directory: what lvmcheck itself writes."""

from __future__ import annotations

from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.readers._asked import Asked
from lvmcheck.run.directory import EVENTS, load
from lvmcheck.run.view import Run

WHAT = f"a directory with {EVENTS}"


def reads(path: Path) -> bool:
    return (path / EVENTS).is_file() or (path.name == EVENTS and path.is_file())


def read(path: Path, asked: Asked | None = None) -> Run:
    """The run in a directory, finished or not.

    Raises:
        InputError: there is none, its events cannot be read, or a column map was given.
    """
    if asked is not None and asked.columns:
        raise InputError("--columns", "a run directory names its metrics itself: no column map applies")
    return load(path.parent if path.is_file() and path.name == EVENTS else path)
