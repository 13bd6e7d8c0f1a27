"""A cell of a notebook that shows a run while it trains: ``lvmcheck.live("runs/mine")``."""

from __future__ import annotations

import os
import threading
import time
from html import escape
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.extras import need
from lvmcheck.report.notebook import html_of
from lvmcheck.run.bounded import BoundedFollower
from lvmcheck.run.directory import EVENTS, load
from lvmcheck.run.locks import writer_is_gone
from lvmcheck.text.fit import fit

SHARE = 10.0
"""Times as long as a look takes until the next one."""
SILENCE = 5.0
"""Seconds between two looks at whether anybody still writes the run."""


class LiveCell:
    """The run in a directory, drawn anew in the cell that made this, until it ends or :meth:`stop` is called.

    Attributes:
        shown: how often it was drawn.
    """

    def __init__(self, path: Path, every: float) -> None:
        self.path, self.shown = path, 0
        self._every = every
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, display: Any) -> None:
        """Draw the cell, and go on in the background: training may go on in this process or in another one."""
        handle = display(_Html(self._html(None)), display_id=True)
        self._thread = threading.Thread(target=self._follow, args=(handle,), name="lvmcheck-cell", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave the cell as it is."""
        self._stopped.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Until the run has ended and the cell shows it; False where that takes longer."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def _follow(self, handle: Any) -> None:
        follower, over, asked = BoundedFollower(self.path), False, time.monotonic()
        while not over and not self._stopped.is_set():
            began = time.monotonic()
            try:
                run = follower.read() if (self.path / EVENTS).is_file() else None
                gone = time.monotonic() - asked > SILENCE and writer_is_gone(self.path) if run is not None else False
                asked = time.monotonic() if gone or time.monotonic() - asked > SILENCE else asked
                over = run is not None and (run.done is not None or gone)
                text = html_of(load(self.path)) if over else self._html(run)
            except InputError as problem:
                text = f"<p>{escape(fit(str(problem)))}</p>"
            handle.update(_Html(text))
            self.shown += 1
            self._stopped.wait(max(self._every, SHARE * (time.monotonic() - began)))

    def _html(self, run: Any) -> str:
        if run is not None:
            return html_of(run)
        return f"<p>waiting for {escape(fit(str(self.path)))}: no run is recorded there yet</p>"


class _Html:
    """Text that a notebook takes as HTML."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text


def live(path: str | os.PathLike[str], *, every: float = 2.0) -> LiveCell:
    """Show a run in the cell of a notebook while it trains, here or in another process.

    Args:
        path: the run directory, which need not exist yet.
        every: seconds between two looks, at least; a look that takes longer waits ten times as long.

    Raises:
        InputError: no directory, a time that makes no sense, or IPython is not installed.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(folder, "expected a run directory to show, got a file", fix="lvmcheck.readers.open_run(path)")
    if not 0 < every < 3600:
        raise InputError("lvmcheck.live", f"expected seconds above 0, got {every!r}", key="every")
    display = need("IPython.display", extra="notebook", purpose="a live cell").display
    cell = LiveCell(folder, every)
    cell.start(display)
    return cell
