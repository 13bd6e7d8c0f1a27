"""When a run whose worker was taken away, or has gone, is trained on elsewhere."""

from __future__ import annotations

import signal

from lvmcheck.launch.engine import Task
from lvmcheck.run.events import Checkpoint
from lvmcheck.run.view import Run

MOST = 3
"""Losses in a row without a new checkpoint between them, after which the run has died."""
SIGNALS = {number.name for number in (signal.SIGTERM, signal.SIGINT)}
"""Reasons with which a trainer stops itself when its place is taken."""


class Losses:
    """Of one run."""

    def __init__(self) -> None:
        self.count = 0
        self._at: tuple[str, int | None] | None = None

    def again(self, task: Task, run: Run) -> bool:
        """Whether the run goes on from its last checkpoint, on another worker."""
        if not task.lost or (run.done is not None and run.done.get("reason") not in SIGNALS):
            return False
        last = next((event for event in reversed(run.of(Checkpoint)) if event.name == "last"), None)
        at = None if last is None else (last.path, last.step)
        self.count = self.count + 1 if at == self._at else 1
        self._at = at
        return self.count < MOST
