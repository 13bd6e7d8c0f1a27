"""Windows of a run that are enough to see the course of its loss terms."""

from __future__ import annotations

from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

MOST = 400
"""Windows that are looked at, spread over the run; the last one is among them."""


def some_windows(run: Run) -> list[ev.Window]:
    """At most :data:`MOST` windows with terms, in their order."""
    windows = run.of(ev.Window)
    every = len(windows) // MOST + 1
    return [window for window in windows[::-every][::-1] if window.terms]
