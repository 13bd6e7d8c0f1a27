"""When a loop must end. The ranks of one run end at the same step: rank 0 decides once, and says it ahead of time."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvmcheck.run import directory as rundir
from lvmcheck.run.ranks import BEGUN, Meeting
from lvmcheck.run.regular_file import read_json

DECISION, WORD = "stop.json", "word.json"
AHEAD = 2
"""Steps between the decision and the step at which all end: ranks that wait for each other in every step are at most
one step apart, and what is written now is read by then."""
PATIENCE = 30.0
"""Seconds that a rank waits at the end of an epoch for rank 0 to get there."""


class Stopping:
    """Asked by a file, a signal or a judge.

    Attributes:
        asked: why; None before.
        base: optimizer steps that were done when this process began.

    Args:
        path: the run directory.
        meeting: of its ranks; None for a single one.
    """

    def __init__(self, path: Path, meeting: Meeting | None) -> None:
        self.asked: str | None = None
        self.base = 0
        self._file = str(path / rundir.STOP)
        self._meeting = meeting if meeting is not None and meeting.size > 1 else None
        self._at: int | None = None

    def begin(self, steps: int, more: Mapping[str, Any]) -> None:
        """The loop goes on from this step; ranks that continue with it are told."""
        self.base = steps
        if self._meeting is not None:
            self._meeting.publish(BEGUN, {"steps": steps, **more})

    def ask(self, reason: str) -> None:
        """End at the next look; safe in a signal handler, because nothing is written here."""
        if self.asked is None:
            self.asked = reason

    def due(self, steps: int) -> str | None:
        """Why the loop must end now, after so many steps; costs one look at the file system."""
        if os.path.exists(self._file):  # noqa: PTH110 - pathlib is 5 times slower here
            self.asked = str((read_json(Path(self._file)) or {}).get("reason", "a request to stop"))
        if self.asked is None or self._meeting is None:
            return self.asked
        if self._at is None:
            furthest = max([steps - self.base, *steps_of_others(self._meeting).values()])
            self._decide(self._meeting, furthest + AHEAD)
        return self.asked if self._at is not None and steps - self.base >= self._at else None

    def word(self, kind: str, number: int, steps: int) -> None:
        """Every rank is here, or will come: tell them whether to go on."""
        if self._meeting is None:
            return
        if self.asked is None:
            self.due(steps)
        if self.asked is not None and (self._at is None or self._at > steps - self.base):
            self._decide(self._meeting, steps - self.base)
        said = self._meeting.read(WORD)
        self._meeting.publish(WORD, {**said, kind: number})

    def _decide(self, meeting: Meeting, at: int) -> None:
        self._at = at
        meeting.publish(DECISION, {"at": at, "reason": self.asked})


class FollowedStopping(Stopping):
    """The same of another rank than 0: it passes on what it is asked, and ends where rank 0 says."""

    def __init__(self, path: Path, meeting: Meeting | None) -> None:
        super().__init__(path, meeting)
        self._own = False
        self._passed_on = False
        self._said = 0
        self._place: int | None = None

    def ask(self, reason: str) -> None:
        super().ask(reason)
        self._own = True

    def due(self, steps: int) -> str | None:
        meeting = self._meeting
        if meeting is None:
            return super().due(steps)
        self.say_step(meeting, steps)
        if self._at is None:
            decision = meeting.read(DECISION)
            if isinstance(decision.get("at"), int):
                self._at, self.asked = decision["at"], str(decision.get("reason"))
            elif self._own and not self._pass_on(meeting):
                return self.asked  # nobody else can be told
        return self.asked if self._at is not None and steps - self.base >= self._at else None

    @property
    def signalled(self) -> bool:
        """Whether this rank itself was asked, by a signal or a judge of its own."""
        return self._own

    def _pass_on(self, meeting: Meeting) -> bool:
        """Ask rank 0; whether it can hear."""
        if not self._passed_on and meeting.session:
            self._passed_on = True
            with contextlib.suppress(OSError), open(self._file, "x") as file:  # noqa: PTH123
                json.dump({"reason": self.asked}, file)
        return self._passed_on

    def say_step(self, meeting: Meeting, steps: int) -> None:
        """Where this rank is, for rank 0."""
        self._said += 1
        if self._place is None and (self._said < 100 or self._said % 100 == 0) and meeting.session:
            with contextlib.suppress(OSError):
                self._place = os.open(meeting.folder / f"{meeting.rank}.at", os.O_WRONLY | os.O_CREAT, 0o644)
        if self._place is not None:
            os.pwrite(self._place, b"%12d" % (steps - self.base), 0)

    def word(self, kind: str, number: int, steps: int) -> None:
        """Wait for rank 0 to get here, so that both see the same answer."""
        meeting = self._meeting
        if meeting is None or not meeting.session:
            return
        self.say_step(meeting, steps)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not _reached(meeting, kind, number):
            time.sleep(0.005)

    def close(self) -> None:
        """Nothing more is said."""
        if self._place is not None:
            os.close(self._place)
            self._place = None


def _reached(meeting: Meeting, kind: str, number: int) -> bool:
    said = meeting.read(WORD).get(kind)
    return isinstance(said, int) and said >= number


def steps_of_others(meeting: Meeting) -> dict[int, int]:
    """Steps of this launch that other ranks said they had done, by rank; none of a rank that is not heard."""
    found: dict[int, int] = {}
    for other in range(1, meeting.size):
        with contextlib.suppress(OSError, ValueError):
            found[other] = int((meeting.folder / f"{other}.at").read_bytes()[:20])
    return found
