"""What checks of a watched loop share: every event of one name is held against the check's bounds by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from lvmcheck.checks.curves._curves import improved
from lvmcheck.checks.finding import (
    Fact,
    Finding,
    Outcome,
    Scalar,
    Status,
    failed,
    not_recorded,
    passed,
    pending,
    warning,
)
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared.cases import case
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.checks.watch import lacking
from lvmcheck.run.events import MODELS, Watch
from lvmcheck.run.view import Run

SHOWN = 4
"""Names of parameters or modules that a finding lists."""
ORDER = (Status.FAILED, Status.WARNING, Status.PENDING, Status.PASSED)
"""Of the answers on several models the first of these counts."""
TAIL = "tail"
"""Key in ``info`` of a run that holds the last events alone, whose earlier windows were judged when they came."""


@dataclass(frozen=True, kw_only=True)
class Watched(Check):
    """A check whose answer rests on the events ``event``: it fails at the ``streak``-th in a row that is not met.

    Source:
    This project's list of faults in training loops.
    """

    universal = True
    metric_fields = ()

    event: ClassVar[str] = ""
    streak: ClassVar[int] = 1
    span: ClassVar[int] = 0
    """Steps that such a row lasts at least, unless the run ends in it."""
    mild: ClassVar[bool] = False
    """What it finds may be meant: it warns."""
    needs: ClassVar[int] = 0
    """Events that a live look judges; by default as many as must be bad in a row."""

    def look(self, event: Watch) -> Finding | None:
        """The measurement of one event with its bounds; None where the event does not decide."""
        raise NotImplementedError

    def found(self, event: Watch) -> Finding | None:
        """The same at the step of the event."""
        finding = self.look(event)
        return None if finding is None else replace(finding, step=event.step)

    def judge(self, run: Run) -> Outcome:
        return lacking(run) or self.decide(run)

    def decide(self, run: Run) -> Outcome:
        """The answer on a run that was watched, or goes on: of several models the worst one."""
        outcomes = [self.decide_on(run, events) for events in by_watcher(watched(run, self.event))]
        return min(outcomes, key=lambda outcome: ORDER.index(outcome.status) if outcome.status in ORDER else len(ORDER))

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        """The answer on the measurements of one model."""
        seen, in_row, last, met, since = 0, 0, None, None, 0
        for event in events:
            finding = self.found(event)
            if finding is None:
                continue
            seen, last = seen + 1, finding
            met, in_row = (finding, 0) if finding.met else (met, in_row + 1)
            since = event.step if in_row == 1 else since
            lasts = event.step - since >= self.span or (run.over and event is events[-1])
            if in_row >= self.streak and lasts:
                return (warning if self.mild else failed)(finding, evaluated=seen)
        if last is None and run.over:
            return not_recorded(f"rec.watch measured nothing about {self.event.replace('_', ' ')}")
        if last is None or not complete(run):
            return pending("the end of the run", evaluated=seen)
        if met is None:
            return not_recorded(f"{seen} samples of {self.event}, and {self.streak} in a row decide")
        return passed(met, evaluated=seen)


@dataclass(frozen=True, kw_only=True)
class Series(Watched):
    """A watched check whose answer at an event rests on the ``needs`` events that end with it."""

    def look_at(self, events: Sequence[Watch]) -> Finding | None:
        """The measurement of the last of these events with its bounds; None where they do not decide."""
        raise NotImplementedError

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        met, seen = None, 0
        # Windows that begin where a tail was cut off are windows of no whole run.
        for end in range(max(1, len(events)) if run.info.get(TAIL) else 1, len(events) + 1):
            finding = self.look_at(events[max(0, end - self.needs) : end])
            seen += finding is not None
            if finding is not None and not finding.met:
                return (warning if self.mild else failed)(finding, evaluated=seen)
            met = finding or met
        if not complete(run):
            return (
                not_recorded(f"rec.watch measured nothing about {self.event.replace('_', ' ')}")
                if run.over and not events
                else pending("the end of the run", evaluated=seen)
            )
        return passed(met, evaluated=seen) if met else not_recorded(f"too few samples of {self.event}: {len(events)}")


def unless_it_learned(outcome: Outcome, run: Run, limit: float) -> Outcome:
    """The answer where a failure up to ``limit`` stands only in a run whose loss or evaluations do not get better."""
    finding = outcome.finding
    if outcome.status is not Status.FAILED or finding is None or not finding.number <= limit:
        return outcome
    if not run.over:
        return pending("whether the loss falls", evaluated=outcome.evaluated)
    curves = run.curves
    learned = any(map(improved, (*((curves.train,) if curves.train is not None else ()), *curves.evaluations)))
    if not learned:
        return outcome
    large = replace(finding, code="large_and_learned", bounds=())
    done = passed(large, evaluated=outcome.evaluated)
    return done if complete(run) else pending("the end of the run", evaluated=outcome.evaluated)


def watched(run: Run, name: str) -> list[Watch]:
    """The events of that name, in order."""
    return [event for event in run.of(Watch) if event.name == name]


def players(run: Run) -> bool:
    """Several models are trained by losses of their own, as in a game of two."""
    told = watched(run, MODELS)
    return bool(told) and told[-1].values.get("joint") != 1.0


def by_watcher(events: Sequence[Watch]) -> list[list[Watch]]:
    """The same, those of each watched model by themselves; one empty list where there are none."""
    found: dict[float, list[Watch]] = {}
    for event in events:
        index = event.values.get("watcher", 0.0)
        found.setdefault(index if index == index else 0.0, []).append(event)
    return list(found.values()) or [[]]


def names(event: Watch, key: str = "parameters") -> tuple[Fact, ...]:
    """The subjects of an event as one fact; none where it has none."""
    if not event.subjects:
        return ()
    more = len(event.subjects) - SHOWN
    return (Fact(key, ", ".join(event.subjects[:SHOWN]) + (f" and {more} more" if more > 0 else "")),)


# -- cases -------------------------------------------------------------------------------------------------------------
def case_run(
    name: str, samples: Sequence[Mapping[str, float]], subjects: Sequence[str] = (), *, over: bool = True, each: int = 1
) -> Run:
    """A run whose only events are these samples of one measurement, ``each`` of them in one step."""
    events = tuple(
        Watch(name=name, epoch=1, step=1 + i // each, subjects=tuple(subjects), values=dict(values))
        for i, values in enumerate(samples)
    )
    return Run(events=events, done={"status": "finished"} if over else None)


@dataclass(frozen=True)
class Cases:
    """Makes cases of a check out of samples of the one measurement that it reads."""

    check: Watched

    def __call__(
        self,
        name: str,
        samples: Sequence[Mapping[str, float]],
        code: str = "",
        measured: Scalar = None,
        *,
        subjects: Sequence[str] = (),
        over: bool = True,
        each: int = 1,
        step: int | None = None,
        status: Status | None = None,
        **facts: Scalar,
    ) -> Case:
        """Samples, subjects, ``over`` and ``each`` are those of ``case_run``, and the others those of ``Case``."""
        run = case_run(self.check.event, samples, subjects, over=over, each=each)
        return case(name, self.check, run, code, measured, epoch=None, step=step, status=status, **facts)
