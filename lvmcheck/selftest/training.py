"""Trains a run in a process of its own, with a fault planted, and stops it at the first check that fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvmcheck.checks.finding import Outcome
from lvmcheck.errors import InputError
from lvmcheck.launch.process import trainer_environment
from lvmcheck.run import directory as rundir
from lvmcheck.run.info import make_run
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.view import Run
from lvmcheck.selftest.judging import BAD, Judged, looks, outcomes, prefix
from lvmcheck.selftest.plan import EFFECT

GRACE = 10.0
"""Seconds between the request to stop and the signal."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is tested: a trainer with its config, and the checks that judge it.

    Args:
        title: as it is shown. info: content of ``run.json``. root: working directory of the trainer.
        finished: a finished run of exactly this, where there is one.
    """

    title: str
    info: Mapping[str, Any]
    checks: Sequence[Judged]
    root: Path
    finished: Path | None = None

    @property
    def seed(self) -> int:
        return int(self.info.get("seed") or 0)

    @property
    def threads(self) -> int:
        return int(dict(self.info["config"]).get("threads", 1))


class Training:
    """One run that trains now. Call :meth:`look` until it is over.

    Args:
        fault: name of the fault planted; None for the unmodified run.
        clean: outcomes of the unmodified run; with them the run is stopped at the first failure that it does not have.
        limit: seconds it may take.
    """

    def __init__(
        self, subject: Subject, folder: Path, fault: str | None, clean: Mapping[str, Outcome] | None, limit: float
    ) -> None:
        self.subject, self.folder, self.fault, self.clean = subject, folder, fault, clean
        make_run(folder, dict(subject.info))
        self.follower = rundir.Follower(folder)
        self.run = Run()
        self.stopped = False
        self.timed_out = False
        self.over = False
        self._seen = -1
        self._asked = 0.0
        self._ends = time.monotonic() + limit
        named = tuple(subject.info.get("variables", ()))
        environment = trainer_environment(
            os.environ, Path.cwd(), threads=subject.threads, seed=subject.seed, named=named
        )
        command = [sys.executable, "-P", "-m", "lvmcheck.selftest.worker", str(folder), str(os.getpid())]
        with (folder / rundir.OUTPUT).open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *([fault] if fault else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=subject.root,
                env=environment,
                start_new_session=True,
            )

    @property
    def planted(self) -> bool:
        """Whether the fault has taken effect."""
        return (self.folder / EFFECT).exists()

    def look(self) -> None:
        """Read what is new, judge it, and stop the run where a check fails."""
        code = self._process.poll()
        try:
            self.run = self.follower.read()
            if code is not None and self.run.done is None:
                self.run = self.follower.read(death=self._death(code))
        except InputError as problem:
            self.run = Run(events=self.run.events, info=self.run.info, death=str(problem))
            code = self.end()
        if code is not None:
            self.over = True
            self.end()
            return
        if looks(self.run) != self._seen and not self.stopped:
            self._seen = looks(self.run)
            self._judge()
        if not self.stopped and time.monotonic() > self._ends:
            self.timed_out = True
            self.stop("the time that the fault may take")
        if self.stopped and time.monotonic() - self._asked > GRACE:
            self.end()
        with contextlib.suppress(OSError):
            (self.folder / rundir.JUDGED).write_text(str(self.follower.offset))

    def _judge(self) -> None:
        if self.clean is None or (self.fault is not None and not self.planted):
            return
        now = outcomes(self.subject.checks, prefix(self.run, len(self.run.events)))
        new = [name for name, outcome in now.items() if outcome.status in BAD and self.clean[name].status not in BAD]
        if new:
            self.stop(new[0])

    def stop(self, reason: str) -> None:
        self.stopped, self._asked = True, time.monotonic()
        rundir.write_json(self.folder / rundir.STOP, {"reason": reason})

    def end(self) -> int:
        """End the process and all it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def _death(self, code: int) -> str:
        failure = read_json(self.folder / rundir.FAILURE) or {}
        words = f": {failure['type']}: {failure['message']}" if "type" in failure else ""
        return f"the trainer exited {code} before its completion record was written{words}"
