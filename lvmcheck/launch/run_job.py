"""One run of one plan: reused, trained here, or followed while another process trains it; judged all the while."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from filelock import FileLock

from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.checks.finding import Outcome, Why, error
from lvmcheck.errors import InputError
from lvmcheck.launch import seen
from lvmcheck.launch.answers import Answers
from lvmcheck.launch.engine import Engine, Task, make_engine
from lvmcheck.launch.engines._files import orphaned
from lvmcheck.launch.existing_run import Aside, ExistingRun, begin, examine, record_death
from lvmcheck.launch.heartbeat import Silence
from lvmcheck.launch.inprocess import train_in_process
from lvmcheck.launch.locks import is_free, run_lock, trainer_lock, try_lock
from lvmcheck.launch.losses import Losses
from lvmcheck.launch.place import Place
from lvmcheck.launch.plan import Plan
from lvmcheck.launch.refusals import Refusals
from lvmcheck.launch.stop_deadline import StopDeadline
from lvmcheck.launch.verdicts import write_verdicts
from lvmcheck.run import directory as rundir
from lvmcheck.run.info import move_aside
from lvmcheck.run.view import Run
from lvmcheck.suite import CheckEntry

LOOK = 0.25
"""Seconds after which a job is looked at although its events have not grown: it may have ended, or a slot is free."""


class State(Enum):
    """Where a job stands."""

    NEW = auto()
    WAITING = auto()  # it will be trained here, once a slot is free
    TRAINING = auto()
    FOLLOWING = auto()  # another process trains it
    OVER = auto()


@dataclass
class RunJob(Answers):
    """A plan on its way to verdicts. Call :meth:`poll` until :attr:`over`.

    Args:
        plan: what to train.
        entries: the requested checks.
        whole: whether something needs the run to its end (the ``run`` fixture).
        engine: where it is trained; None leaves it to the settings.
    """

    plan: Plan
    entries: tuple[CheckEntry, ...]
    whole: bool = False
    engine: Engine | None = None

    def __post_init__(self) -> None:
        self.state = State.NEW
        self.run = Run()
        self.outcomes: dict[str, Outcome] = {}
        self.reused: str | None = None
        self.aside: Aside | None = None  # why what was there is not used
        self.problem: InputError | None = None
        self.raised: BaseException | None = None
        self.not_started: str | None = None
        self.process: Task | None = None
        self._losses = Losses()
        self.aborted_by: str | None = None
        self.explained_by: str | None = None  # the check whose message names the cause of this run's failure
        self._lock: FileLock | None = None
        self._slot: Place | None = None
        self._follower: rundir.Follower | None = None
        self.killed: str | None = None  # why a trainer that was asked to stop had to be killed
        self._deadline = StopDeadline()
        self._judged = -1
        self._judged_mark = self._causes_mark = (-1, -1)
        self._judge_after = self._polled = 0.0
        self._refusals = Refusals()
        self._resume: Path | None = None
        self._known = False  # what lies in its folder has been looked at, or was made here
        self._causes: list[Diagnosis] = []

    @property
    def over(self) -> bool:
        return self.state is State.OVER

    @property
    def at_end(self) -> bool:
        """Whether the last planned epoch is over."""
        return self.run.planned_epochs is not None and self.run.last_epoch >= self.run.planned_epochs

    @property
    def unfinished(self) -> str | None:
        """How a trainer died after its last epoch."""
        return self.run.stopped_where() if self.at_end and self.run.death is not None else None

    @property
    def queued(self) -> bool:
        """Whether it waits for a place, here or in the queue of a cluster."""
        return self.state is State.WAITING or (self.process is not None and not self.over and not self.process.began)

    def due(self) -> bool:
        """Whether a full look may find something: the size of the events costs a fiftieth of one."""
        now = time.monotonic()
        if now - self._polled < LOOK and not (self._follower is not None and self._follower.grown()):
            return False
        self._polled = now
        return True

    # -- one step of whatever is going on ----------------------------------------------------------------------------
    def poll(self, take_slot: Callable[[Plan], Place | None]) -> None:
        """Do what can be done without waiting. Problems of the input end the job and are kept."""
        try:
            self._step(take_slot)
            self._refusals.since = None
        except InputError as problem:
            self._give_up(self.plan.locate(problem))
        except OSError as problem:
            if not self._try_again(problem):
                self._give_up(rundir.cannot_write(Path(problem.filename or self.plan.settings.home), problem))

    def _step(self, take_slot: Callable[[Plan], Place | None]) -> None:
        if self.state is State.NEW:
            self._arrive()
        if self.state is State.WAITING:
            if self._losses.count and not is_free(trainer_lock(self.folder)):
                return  # the worker that was lost writes still
            self._slot = self._slot or take_slot(self.plan)
            if self._slot is not None:
                self._start(self._slot)
        elif self.state is State.TRAINING and self.process is not None:
            self._watch(self.process)
        elif self.state is State.FOLLOWING:
            self._follow()

    def _try_again(self, problem: OSError) -> bool:
        """Whether to look again, from the start: the system refused a lock or a folder and may not do so for long."""
        if self.state not in (State.NEW, State.WAITING) or not self._refusals.passes_by(problem):
            return False
        self._release()
        self.state = State.NEW
        return True

    def _arrive(self) -> None:
        """Decide between reuse, training here and following another process."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = try_lock(run_lock(self.folder))
        if lock is None:
            self._follower = rundir.Follower(self.folder, self.plan.stated)
            self.state = State.FOLLOWING
            return
        self._lock = lock
        if orphaned(self.folder):  # by a killed session; its trainer ends by itself soon
            self._release()
            return
        if self._reusable():
            self._settle()
        else:
            self.state = State.WAITING

    def _reusable(self) -> bool:
        """Whether what is on disk answers everything; a shorter run stays there, to be continued."""
        left = examine(self.plan)
        self.aside = left if isinstance(left, Aside) else self.aside
        self._known = isinstance(left, ExistingRun)
        if not isinstance(left, ExistingRun):
            return False
        if left.failure and left.ours:  # it failed in this session already, perhaps in another xdist worker
            self._follower = left.follower
            self._take_failure(left.failure)
            return True
        if not left.answers(self.entries, whole=self.whole, limit=self.plan.settings.check_timeout):
            return False
        self.run, self._follower = left.run, left.follower
        self.reused = None if left.ours else left.created
        return True

    def _start(self, place: Place) -> None:
        if (self.folder / rundir.INFO).exists():
            self._resume = seen.cut_to_checkpoint(self.folder) if self._known else None  # it came while this one waited
            if self._resume is None:
                move_aside(self.folder)
        begin(self.plan, self._resume)
        self._known = True
        self._follower = rundir.Follower(self.folder, self.plan.stated)
        self.state = State.TRAINING
        if not self.plan.settings.inprocess:
            engine = self.engine or make_engine(self.plan.settings)
            self.process = engine.start(self.plan, self._resume, place.environment)
            self._silence = Silence(self.folder, self.plan.timeout)

    def _watch(self, process: Task) -> None:
        code = process.exit_code()  # asked before reading, so that the last events are not missed
        self._read()
        if code is None and not (self.run.done is not None and self._deadline.lingers()):
            self._judge_live()
            if self.run.done is None:
                why = self._deadline.insist(process, self._stop_reason()) or self._silence.check(process)
                self.killed = why or self.killed
            return
        if code is not None:
            process.wait_output()
        process.stop(grace=0.5)
        if self._losses.again(process, self.run):
            self.state, self.process, self._deadline, self._judged = State.WAITING, None, StopDeadline(), -1
            return
        if self.run.done is None:
            self._take_failure(record_death(self.folder, self.killed or process.ended(), self.plan.settings.session))
        self._settle()

    def _follow(self) -> None:
        assert self._follower is not None
        try:
            self._read()
        except InputError:
            self._follower = rundir.Follower(self.folder, self.plan.stated)  # it was being replaced
            return
        if self._follower.offset != self._judged:
            self._judged = self._follower.offset
            # How it ended is judged by whoever holds the lock, perhaps after training on.
            self._judge_open(replace(self.run, done=None, death=None))
            self.aborted_by = self._aborting()
        if is_free(run_lock(self.folder)):
            self.state = State.NEW  # the other process has let go: look again at what it left

    # -- judging -----------------------------------------------------------------------------------------------------
    def _read(self) -> None:
        assert self._follower is not None
        self.run = self._follower.read()
        seen.keep(self.folder, self._follower)

    def _settle(self) -> None:
        """The run is over: settle what is open, write the verdicts, let others in."""
        self._judge_all()
        self.aborted_by = self.aborted_by or self._aborting()
        write_verdicts(self.plan.suite.profile, map(self.verdict, self.entries), self.folder)
        self.state = State.OVER
        self._release()

    # -- ends --------------------------------------------------------------------------------------------------------
    def train_here(self) -> None:
        """Train in this process (``--lvm-inprocess``); what the trainer raises is kept in :attr:`raised`."""
        self.raised = train_in_process(self.plan, self._resume, self._read_and_judge)
        self._read()
        if self.run.done is None:
            self._take_failure(record_death(self.folder, "raised", self.plan.settings.session))
        self._settle()

    def _read_and_judge(self) -> None:
        self._read()
        self._judge_live()

    def _take_failure(self, failure: dict[str, Any]) -> None:
        if isinstance(failure.get("input"), dict):
            self.problem = self.plan.locate(InputError.from_json(failure["input"]))
        assert self._follower is not None
        self.run = self._follower.read(death=str(failure.get("death", "the trainer failed")))

    def _give_up(self, problem: InputError) -> None:
        self.problem = problem
        self.run = replace(self.run, death=str(problem))
        if self.process is not None:
            self.process.stop()
        for entry in self.entries:
            if not ((known := self.outcomes.get(entry.node)) and known.decided):
                self.outcomes[entry.node] = error(str(problem))
        self.state = State.OVER
        self._release()

    def cancel(self, reason: str) -> None:
        """Never start (another seed has decided the answer), or stop now (the session ends)."""
        if self.process is not None and not self.over and not self.queued:
            rundir.write_json(self.folder / rundir.STOP, {"reason": reason})
            self.process.stop()
            self._read()
            self._settle()
        elif not self.over:
            if self.process is not None:
                self.process.stop()
            self.not_started = reason
            self.outcomes |= {entry.node: error(f"not started: {reason}", Why.NOT_REACHED) for entry in self.entries}
            self.state = State.OVER
            self._release()

    def _release(self) -> None:
        for lock in (self._slot, self._lock):
            if lock is not None:
                lock.release()
        self._slot = self._lock = None
