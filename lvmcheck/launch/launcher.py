"""All jobs of a session: one thread starts, follows and judges them, so that an abort never waits for pytest."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.launch.engine import make_engine
from lvmcheck.launch.place import Place
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.run_job import RunJob, State
from lvmcheck.suite import CheckEntry, Suite

POLL = 0.02
"""Seconds between two looks at the running jobs."""
REDRAW = 1.0
"""Seconds between two redrawings of the live line; drawing it is what costs most while others train."""


class Launcher:
    """Owns the jobs of a session. Use from one thread; judging happens on another."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = make_engine(settings)
        self.jobs: dict[tuple[str, int], RunJob] = {}
        self._active: list[RunJob] = []
        self._guard = threading.RLock()
        self._changed = threading.Condition(self._guard)
        self._thread: threading.Thread | None = None
        self._closing = False
        self._crash: BaseException | None = None

    # -- what is wanted ----------------------------------------------------------------------------------------------
    def want(self, suite: Suite, seed: int, entries: Iterable[CheckEntry] = (), *, whole: bool = False) -> RunJob:
        """Register checks (or with ``whole`` the run to its end) of one suite and seed, before anything starts."""
        key = (suite.place, seed)
        job = self.jobs.get(key)
        if job is None:
            job = self.jobs[key] = RunJob(Plan(suite, seed, self.settings), (), engine=self.engine)
        job.entries = (*job.entries, *(entry for entry in entries if entry not in job.entries))
        job.whole = job.whole or whole
        return job

    def siblings(self, job: RunJob) -> list[RunJob]:
        """The jobs of the same suite, in the order of their seeds."""
        found = [other for other in self.jobs.values() if other.plan.suite.place == job.plan.suite.place]
        turn = {seed: number for number, seed in enumerate(job.plan.suite.seeds)}  # tests may come in any order
        return sorted(found, key=lambda other: turn.get(other.plan.seed, len(turn)))

    def held_up(self, job: RunJob) -> Path | None:
        """The folder of places to train, when the job waits for one and other sessions hold them all."""
        own = any(other.state is State.TRAINING for other in self._active)
        return self._slots if job.state is State.WAITING and not own else None

    @property
    def _slots(self) -> Path:
        return self.settings.home / "slots"

    # -- waiting -----------------------------------------------------------------------------------------------------
    def wait(self, job: RunJob, node: str | None, redraw: Callable[[], None]) -> None:
        """Return when the check ``node`` of the job is decided, or with None when the job is over.

        Args:
            redraw: called about once a second in the caller's thread, for the live line.
        """
        self._activate(job)
        if self.settings.inprocess:
            self._run_here(job)
            redraw()
            return
        drawn = 0.0
        with self._changed:
            while not self._decided(job, node):
                self._changed.wait(0.25)
                if time.monotonic() - drawn >= REDRAW:
                    redraw()
                    drawn = time.monotonic()
                if self._crash is not None:
                    raise self._crash
        redraw()

    def _decided(self, job: RunJob, node: str | None) -> bool:
        if job.over:
            return True
        outcome = job.outcomes.get(node) if node is not None else None
        # An abort is reported once the trainer has stopped, so that the message can say what was saved.
        # After the last epoch the completion record is all that is missing: without it the run has not finished.
        return outcome is not None and outcome.decided and not outcome.abort and not job.at_end

    def _activate(self, job: RunJob) -> None:
        """Start the job and, as slots allow, the other seeds of its suite."""
        with self._guard:
            alone = self.settings.inprocess or job.plan.suite.sequential
            for sibling in [job] if alone else self.siblings(job):
                if sibling not in self._active:
                    # Schemas are the user's code and may not be safe in threads: ask them here. What is wrong with
                    # the input is found again, and kept, when the job is looked at.
                    with contextlib.suppress(InputError):
                        _ = sibling.plan.key
                    self._active.append(sibling)
            if self._thread is None and not self.settings.inprocess:
                with contextlib.suppress(InputError):  # found again, and kept, when the first job starts
                    self.engine.open()
                self._thread = threading.Thread(target=self._loop, name="lvmcheck-launcher", daemon=True)
                self._thread.start()

    def start(self, job: RunJob) -> None:
        """Start a job and its siblings, as slots allow, without waiting for them."""
        self._activate(job)

    def activate_all(self) -> None:
        """Start every requested job, in order, as slots allow."""
        for job in self.jobs.values():
            if not job.plan.suite.sequential or job is self.siblings(job)[0]:
                self._activate(job)

    def _loop(self) -> None:
        try:
            while not self._closing:
                with self._changed:
                    if self._poll_all():
                        self._changed.notify_all()
                time.sleep(POLL)
        except BaseException as problem:
            self._crash = problem

    def _poll_all(self) -> bool:
        """Whether any job was looked at in full."""
        looked = False
        for job in self._active:
            if job.over or not job.due():
                continue
            looked = True
            job.poll(self._take_slot)
            if job.queued and (reason := self._pointless(job) or job.cancelled):
                job.cancel(reason)
        return looked

    def _pointless_now(self, plan: Plan) -> bool:
        """Whether a seed that another process trains failed for good since it was last polled."""
        job = self.jobs[plan.suite.place, plan.seed]
        for sibling in self.siblings(job):
            if sibling.state is State.FOLLOWING:
                sibling.poll(self._take_slot)
        return self._pointless(job) is not None

    def _pointless(self, job: RunJob) -> str | None:
        """Why another seed need not start: one was aborted already, and every seed must pass."""
        for other in self.siblings(job):
            if other.aborted_by is None:
                continue
            entry = next(entry for entry in other.entries if entry.node == other.aborted_by)
            if entry.expect is None:
                return f"seed{other.plan.seed} was stopped by {other.aborted_by}, and every seed must pass"
        return None

    def _take_slot(self, plan: Plan) -> Place | None:
        """A place to train, over all processes of this home: as many as the engine has."""
        place = self.engine.take(plan, self._slots, sum(not job.over for job in self.jobs.values()))
        if place is not None and self._pointless_now(plan):
            place.release()
            return None
        return place

    def _run_here(self, job: RunJob) -> None:
        while not job.over:
            job.poll(self._take_slot)
            if job.state is State.TRAINING:
                job.train_here()
            elif not job.over:
                time.sleep(POLL)

    def finish_own(self) -> None:
        """Wait for the jobs that train here, which others may follow."""
        with self._changed:
            while any(job.state is State.TRAINING for job in self._active) and self._crash is None:
                self._changed.wait(0.1)

    # -- the end -----------------------------------------------------------------------------------------------------
    def close(self, reason: str) -> None:
        """Stop whatever still trains; its run directory stays readable and can be continued."""
        self._closing = True
        if self._thread is not None:
            self._thread.join(timeout=30.0)
        for job in self._active:
            if not job.over:
                job.cancel(reason)
        self.engine.close()
