"""A trainer for training that is a script or a command line: runs it and takes over the record that it writes.

``{out}`` in an argument is the folder into which it records, ``{seed}`` its seed; both are in the environment, too
(``LVMCHECK_RUN``, ``LVMCHECK_SEED``). A Python script is run in this process, where what it reads is seen.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmcheck.errors import InputError
from lvmcheck.readers import open_run
from lvmcheck.run import directory as rundir
from lvmcheck.run import events as ev
from lvmcheck.run.one_epoch import one_epoch

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder
    from lvmcheck.run.view import Run

OUT, SEED = "LVMCHECK_RUN", "LVMCHECK_SEED"
LOOK = 0.1
"""Seconds between two looks at what is recorded."""
OWN = (ev.Begin, ev.Stop)
"""Events that this recorder writes itself."""


class CommandFailedError(RuntimeError):
    """A command that did not exit with 0, or whose record says that it failed."""


def train(config: Mapping[str, Any], rec: Recorder) -> None:
    """Run ``config["command"]``, and record what it records."""
    if rec.meeting is not None and rec.meeting.size > 1:
        fix = "Start torchrun in the command itself, or hand over a function."
        raise InputError("run", f"a script or command trains on one rank, got {rec.meeting.size}", key="ranks", fix=fix)
    out = rec.path / "out"
    places = {"out": str(out), "seed": str(config["seed"])}
    words = [_placed(word, places) for word in config["command"]]
    os.environ |= {OUT: places["out"], SEED: places["seed"]}
    record = Record(out, rec)
    if words[0].endswith(".py"):
        _script(words, record)
    else:
        _command(words, record)
    record.finish(words)


def _placed(word: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        word = word.replace(f"{{{name}}}", value)
    return word


class Record:
    """What a command records, taken over as far as it is written."""

    def __init__(self, out: Path, rec: Recorder) -> None:
        self.out, self.rec = out, rec
        self._taken = 0
        self._follower: rundir.Follower | None = None

    def look(self) -> bool:
        """Take over what a run directory holds by now; whether the command is to stop, which it is told there."""
        if self._follower is None and (self.out / rundir.EVENTS).exists():
            self._follower = rundir.Follower(self.out)
        if self._follower is not None:
            self._take(self._follower.read())
        if self.rec.stop and self.out.is_dir() and not (self.out / rundir.STOP).exists():
            rundir.write_json(self.out / rundir.STOP, {"reason": self.rec.stop_reason})
        return self.rec.stop

    def _take(self, run: Run) -> None:
        fresh = run.events[self._taken :]
        self._taken = len(run.events)
        for event in fresh:
            if not isinstance(event, OWN):
                self.rec.forward(event)

    def finish(self, words: Sequence[str]) -> None:
        """Take over the rest, whatever the kind of record.

        Raises:
            InputError: nothing was recorded, or it cannot be read.
            CommandFailedError: the record says that the run failed.
        """
        if not self.out.exists() or (self.out.is_dir() and not any(self.out.iterdir())):
            fix = f"Record into {{out}} (an argument), or into os.environ[{OUT!r}]."
            raise InputError(Path(words[0]).name, "recorded nothing that could be judged", fix=fix)
        run = open_run(self.out)
        roles = run.info.get("roles")
        if roles and not self._taken:
            self.rec.forward(ev.Declare(metrics=(), roles=dict(roles)))
        self._take(run)
        end = one_epoch(run)
        if end is not None:
            self.rec.forward(end)
        done = run.done or {}
        if done.get("status") in ("failed", "interrupted"):
            raise CommandFailedError(f"its record {done['status']}: {done.get('reason')}")


def _script(words: Sequence[str], record: Record) -> None:
    """Run a Python script in this process, while a thread takes over what it records."""
    ended = threading.Event()
    problems: list[BaseException] = []

    def follow() -> None:
        try:
            while not ended.wait(LOOK):
                record.look()
        except BaseException as problem:
            problems.append(problem)

    follower = threading.Thread(target=follow, name="lvmcheck-record", daemon=True)
    follower.start()
    sys.argv = list(words)
    sys.path.insert(0, str(Path(words[0]).resolve().parent))
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as problem:
        if problem.code not in (None, 0):
            raise CommandFailedError(f"{Path(words[0]).name} exited with {problem.code}") from None
    finally:
        ended.set()
        follower.join()
    if problems:
        raise problems[0]


def _command(words: Sequence[str], record: Record) -> None:
    """Run a command in a process of its own; one that goes on when it is to stop is ended."""
    try:
        process = subprocess.Popen(list(words), stdin=subprocess.DEVNULL)
    except OSError as problem:
        raise InputError(words[0], f"cannot be started: {problem.strerror or problem}") from None
    asked = 0.0
    while True:
        try:
            code = process.wait(timeout=LOOK)
            break
        except subprocess.TimeoutExpired:
            asked += LOOK if record.look() else 0.0
            if asked > GRACE:
                process.terminate()
    if code == JUDGED and words[:2] == OURS and (record.out / rundir.EVENTS).exists():
        return  # `lvmcheck run` says that a check failed; whether the run did stands in its record
    if code and not record.rec.stop:
        raise CommandFailedError(f"{Path(words[0]).name} exited with {code}")


OURS, JUDGED = ["lvmcheck", "run"], 1
"""The command that records a script which does not record itself, and its exit code where a check failed."""
GRACE = 5.0
"""Seconds that a command gets to heed a request to stop."""
