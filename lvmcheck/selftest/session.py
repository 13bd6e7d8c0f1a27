"""Plants every fault once, within a time, and keeps what killed each."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lvmcheck.checks.finding import Outcome, Status
from lvmcheck.errors import InputError
from lvmcheck.run import directory as rundir
from lvmcheck.run.view import Run
from lvmcheck.selftest import record_faults
from lvmcheck.selftest.catalogue import faults
from lvmcheck.selftest.judging import BAD, Kill, kills, outcomes, prefix
from lvmcheck.selftest.plan import Fault
from lvmcheck.selftest.tolerance import Tolerance, tolerances
from lvmcheck.selftest.training import Subject, Training

LOOK = 0.05
"""Seconds between two looks at the runs that train."""
Tell = Callable[[str], None]


class Fate(StrEnum):
    """What became of a fault."""

    KILLED = "killed"
    SURVIVED = "survived"
    NOT_PLANTED = "not planted"
    NOT_DONE = "not done"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A fault and its fate.

    Args:
        reason: why it was not planted or not done. trained: it took a training of its own.
        seconds: what it took.
    """

    name: str
    about: str
    fate: Fate
    kills: tuple[Kill, ...] = ()
    reason: str = ""
    trained: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Selftest:
    """The answer of a self-test.

    Args:
        red: checks that fail on the unmodified run; with any, nothing was planted.
        clean: outcomes of the unmodified run. tolerances: how far bounds can be moved.
    """

    title: str
    clean: Mapping[str, Outcome]
    red: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()
    seconds: float = 0.0

    def of(self, fate: Fate) -> list[Result]:
        return [result for result in self.results if result.fate is fate]

    @property
    def score(self) -> float | None:
        """Share of the planted faults that were killed; None where none was planted."""
        killed, survived = len(self.of(Fate.KILLED)), len(self.of(Fate.SURVIVED))
        return killed / (killed + survived) if killed + survived else None

    @property
    def undecided(self) -> list[str]:
        """Checks that neither passed nor failed on any run."""
        failed = {kill.check for result in self.results for kill in result.kills}
        return [name for name, o in self.clean.items() if o.status is not Status.PASSED and name not in failed]

    @property
    def never_failed(self) -> list[str]:
        """Checks that passed on the unmodified run and never failed on a measurement of their own."""
        failed = {kill.check for result in self.results for kill in result.kills if kill.found}
        return [name for name, o in self.clean.items() if o.status is Status.PASSED and name not in failed]


@dataclass
class Session:
    """A self-test on its way.

    Args:
        home: a folder of its own for the runs. minutes: after which nothing more is started and all is stopped.
        jobs: runs that train at a time. only: names of the faults; None plants all.
    """

    subject: Subject
    home: Path
    minutes: float = 10.0
    jobs: int = 2
    only: Sequence[str] | None = None
    tell: Tell = lambda _: None
    clean: Mapping[str, Outcome] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    _killed: dict[str, list[Run]] = field(default_factory=dict)

    def perform(self) -> Selftest:
        """The whole of it.

        Raises:
            InputError: a fault of no known name, or a trainer that cannot be run.
        """
        began = time.monotonic()
        self._ends = began + 60.0 * self.minutes
        planted, recorded = self._chosen()
        run = self._unmodified()
        self.clean = outcomes(self.subject.checks, run)
        red = tuple(name for name, outcome in self.clean.items() if outcome.status in BAD)
        title = self.subject.title
        if red or not run.finished:
            red = red or (f"the unmodified run did not finish: {run.stopped_where()}",)
            return Selftest(title=title, clean=self.clean, red=red, seconds=time.monotonic() - began)
        for fault in recorded:
            self._record(fault, run)
        self._train(planted, limit=max(60.0, 5.0 * float((run.done or {}).get("seconds", 60.0))))
        bounds = [bound for item in self.subject.checks for bound in self._bounds(item.name)]
        return Selftest(
            title=title,
            clean=self.clean,
            results=tuple(self.results),
            tolerances=tuple(bounds),
            seconds=time.monotonic() - began,
        )

    def _chosen(self) -> tuple[list[Fault], list[record_faults.RecordFault]]:
        every, recorded = faults(), {fault.name: fault for fault in record_faults.FAULTS}
        names = [*every, *recorded] if self.only is None else list(self.only)
        for name in names:
            if name not in every and name not in recorded:
                raise InputError("--faults", f"no fault {name!r}", fix=f"Known: {', '.join([*every, *recorded])}.")
        return [every[n] for n in names if n in every], [recorded[n] for n in names if n in recorded]

    def _unmodified(self) -> Run:
        if self.subject.finished is not None:
            self.tell(f"unmodified run: {self.subject.finished} is reused")
            return rundir.load(self.subject.finished)
        self.tell("unmodified run: training")
        training = Training(self.subject, self.home / "unmodified", None, None, self._ends - time.monotonic())
        self._wait([training])
        if training.timed_out:
            raise InputError(self.subject.title, f"the unmodified run takes longer than {self.minutes:g} minutes")
        return training.run

    # -- faults of the record ----------------------------------------------------------------------------------------
    def _record(self, fault: record_faults.RecordFault, run: Run) -> None:
        changed = fault.change(run)
        if changed is None:
            self._add(Result(name=fault.name, about=fault.about, fate=Fate.NOT_PLANTED, reason=fault.needs))
            return
        self._judged(fault.name, fault.about, changed, stopped=False)

    def _judged(
        self, name: str, about: str, run: Run, *, stopped: bool, trained: bool = False, took: float = 0
    ) -> None:
        found = kills(self.subject.checks, self.clean, run, stopped=stopped)
        for kill in found:
            judged = prefix(run, kill.events) if kill.events <= len(run.events) else run
            self._killed.setdefault(kill.check, []).append(judged)
        fate = Fate.KILLED if found else Fate.SURVIVED
        self._add(Result(name=name, about=about, fate=fate, kills=tuple(found), trained=trained, seconds=took))

    # -- faults that are trained -------------------------------------------------------------------------------------
    def _train(self, planted: Sequence[Fault], limit: float) -> None:
        waiting, active, began = list(planted), dict[str, Training](), dict[str, float]()
        known = {fault.name: fault for fault in planted}
        while waiting or active:
            late = time.monotonic() > self._ends
            while waiting and len(active) < self.jobs and not late:
                name = waiting.pop(0).name
                began[name] = time.monotonic()
                active[name] = Training(self.subject, self.home / name, name, self.clean, limit)
            if late:
                self._not_done(waiting, list(active.values()), known)
                return
            for name, training in list(active.items()):
                training.look()
                if training.over:
                    del active[name]
                    self._ended(known[name], training, time.monotonic() - began[name])
            time.sleep(LOOK)

    def _ended(self, fault: Fault, training: Training, took: float) -> None:
        shutil.rmtree(training.folder / rundir.CHECKPOINTS, ignore_errors=True)
        name, about = fault.name, fault.about
        if not training.planted:
            self._add(
                Result(name=name, about=about, fate=Fate.NOT_PLANTED, reason=fault.needs, trained=True, seconds=took)
            )
        elif training.timed_out:
            reason = f"it did not end within {took:.0f} s"
            self._add(Result(name=name, about=about, fate=Fate.NOT_DONE, reason=reason, trained=True, seconds=took))
        else:
            self._judged(name, about, training.run, stopped=training.stopped, trained=True, took=took)

    def _not_done(self, waiting: Sequence[Fault], active: Sequence[Training], known: Mapping[str, Fault]) -> None:
        for training in active:
            training.end()
        names = [training.fault for training in active if training.fault] + [fault.name for fault in waiting]
        for name in names:
            reason = f"the {self.minutes:g} minutes were over"
            self._add(Result(name=name, about=known[name].about, fate=Fate.NOT_DONE, reason=reason))

    def _wait(self, active: list[Training]) -> None:
        while not all(training.over for training in active):
            for training in active:
                training.look()
            time.sleep(LOOK)

    def _add(self, result: Result) -> None:
        self.results.append(result)
        first = f" by {result.kills[0].check} ({result.kills[0].where})" if result.kills else ""
        self.tell(f"{result.name}: {result.fate}{first}{f' ({result.reason})' if result.reason else ''}")

    def _bounds(self, name: str) -> list[Tolerance]:
        item = next(item for item in self.subject.checks if item.name == name)
        return list(tolerances(item, self._killed[name])) if name in self._killed else []
