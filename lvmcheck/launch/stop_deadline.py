"""How long a trainer may go on after it was asked to stop, or after its completion record. Nothing waits here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lvmcheck.launch.engine import Task

LINGER = 3.0  # seconds that a trainer may take to end after its completion record; then it is ended
GRACE = 120.0
"""Seconds from the request to stop after which a trainer is asked again (SIGTERM). A step, an evaluation and a
checkpoint end well before; a trainer that never looks at ``rec.stop``, or hangs, does not."""
INSIST = 10.0
"""Seconds from there after which its whole process group is killed."""


class StopDeadline:
    """Watches the clock of one trainer.

    Attributes:
        asked: whether it was asked to stop.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self._asked_again = False
        self._done_at: float | None = None

    @property
    def asked(self) -> bool:
        return self._asked_at is not None

    def ask(self) -> None:
        """It is being asked to stop, now."""
        self._asked_at = time.monotonic()

    def insist(self, process: Task, reason: str | None) -> str | None:
        """Asks again, then kills, where a trainer that was asked to stop goes on; why it was killed, or None."""
        if self._asked_at is None:
            return None
        waited = time.monotonic() - self._asked_at
        if waited > GRACE and not self._asked_again:
            self._asked_again = True
            process.ask_again()
        elif waited > GRACE + INSIST:
            process.stop(grace=0.0)
            return (
                f"went on for {waited:.0f} s after it was asked to stop by {reason} (it never looks at rec.stop, or "
                "hangs) and was killed"
            )
        return None

    def lingers(self) -> bool:
        """Whether a trainer whose completion record is there has had its time to end (a thread it never joined)."""
        self._done_at = time.monotonic() if self._done_at is None else self._done_at
        return time.monotonic() > self._done_at + LINGER
