"""The recorder of ranks other than 0: rank 0 writes the run, and they a stream of their own beside it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import to_line
from lvmcheck.run.rank_ends import END, WHO, who
from lvmcheck.run.ranks import BEGUN, WAITING, Meeting
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.stopping import PATIENCE, FollowedStopping


class SilentRecorder(Recorder):
    """Counts steps and epochs as rank 0 does, and ends at the same step; its events are ``ranks/<rank>.events.jsonl``.

    Args:
        continued: rank 0 goes on with a run that is there; this one then counts from where that ended.
    """

    def __init__(self, path: Path, *, meeting: Meeting, continued: bool = False, **more: Any) -> None:
        self._held: list[str] = []
        self._known = False
        super().__init__(path, meeting=meeting, **more)
        self._stopping = self._followed = FollowedStopping(path, meeting)
        if continued:
            self._catch_up(meeting)
        self._stopping.base = self.steps

    def _catch_up(self, meeting: Meeting) -> None:
        until = time.monotonic() + PATIENCE
        while meeting.size > 1 and not (begun := meeting.read(BEGUN)) and time.monotonic() < until:
            time.sleep(0.01)
        if meeting.size > 1 and begun:
            self.steps, self.epochs = int(begun["steps"]), int(begun["epochs"])
            self._first_epoch = begun["first"]

    def _open(self) -> int:
        return -1

    def begin(self, *, continued: bool = False) -> None:
        """Nothing begins here: rank 0 writes the run."""

    def _write(self, event: ev.Event) -> None:
        """One more line of this rank's own stream, once rank 0 has opened its session."""
        meeting = self.meeting
        if meeting is None or meeting.size < 2 or self._closed:
            return
        self._held = [*self._held, to_line(event)][-WAITING:]
        if meeting.session:
            if not self._known:
                self._known = True
                meeting.publish(f"{meeting.rank}.{WHO}", who())
            lines, self._held = self._held, []
            with contextlib.suppress(OSError), (meeting.folder / f"{meeting.rank}.events.jsonl").open("a") as file:
                file.write("".join(f"{line}\n" for line in lines))

    def step(self, **figures: Any) -> None:
        super().step(**figures)
        if self.meeting is not None and self.meeting.size > 1:
            self._followed.say_step(self.meeting, self.steps)

    def _sync(self) -> None:
        """Nothing was written."""

    def close(self, status: str, *, reason: str | None = None) -> None:
        """The end of this rank's stream."""
        if self._closed:
            return
        self.look_no_further()
        for watcher in self.watchers:
            watcher.close()
        self._finish_window()
        meeting = self.meeting
        if meeting is not None and meeting.session:
            reached = {"steps": self.steps, "epochs": self.epochs, "signalled": self._followed.signalled}
            meeting.publish(f"{meeting.rank}.{END}", {"status": status, "reason": reason, **reached})
        self._followed.close()
        self._closed = True
