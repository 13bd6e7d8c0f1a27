"""The recorder of ranks other than 0: it writes nothing and sees the same request to stop."""

from __future__ import annotations

from lvmcheck.run import events as ev
from lvmcheck.run.recorder import Recorder


class SilentRecorder(Recorder):
    """Counts steps and epochs as rank 0 does, and records nothing."""

    def _open(self) -> int:
        return -1

    def begin(self, *, continued: bool = False) -> None:
        """Nothing begins here: rank 0 writes the run."""

    def _write(self, event: ev.Event) -> None:
        """Nothing is written."""

    def _sync(self) -> None:
        """Nothing was written."""

    def close(self, status: str, *, reason: str | None = None) -> None:  # noqa: ARG002
        """Nothing is left open."""
        for watcher in self.watchers:
            watcher.close()
        self._closed = True
