"""Refusals of the system before a trainer is started: which of them pass by, and for how long they may last."""

from __future__ import annotations

import errno
import time

TRANSIENT = frozenset({errno.EACCES, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ESTALE})
PERSISTENT = 5.0
"""Seconds after which such a refusal is taken for a lasting one."""


class Refusals:
    """Of one job.

    Attributes:
        since: when the first one came that nothing has ended; None without any.
    """

    def __init__(self) -> None:
        self.since: float | None = None

    def passes_by(self, problem: OSError) -> bool:
        """Whether to try again."""
        if problem.errno not in TRANSIENT:
            return False
        now = time.monotonic()
        self.since = now if self.since is None else self.since
        return now - self.since <= PERSISTENT
