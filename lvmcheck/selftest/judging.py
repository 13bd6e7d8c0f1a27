"""Which check kills a fault, and how early: the first stretch of events on which it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.finding import Outcome, Status, Why
from lvmcheck.checks.protocol import Check, judge
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from lvmcheck.suite import CheckEntry

BAD = (Status.FAILED, Status.ERROR)
PROCESS = "the completion record"
"""What kills a run that died: pytest reports it whatever the checks answer."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A check by the name under which it is reported.

    Args:
        entry: where a suite asks for it; None for a universal check.
    """

    name: str
    check: Check
    entry: CheckEntry | None = None

    def outcome(self, run: Run) -> Outcome:
        if self.entry is None:
            return judge(self.check, run)
        from lvmcheck.suite.judging import judge_entry

        return judge_entry(self.entry, run)

    def using(self, check: Check) -> Judged:
        """The same with the check's keys changed."""
        return replace(self, check=check, entry=None if self.entry is None else replace(self.entry, check=check))


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A check that fails on a fault and not on the unmodified run.

    Args:
        events: on how many events it fails first. epoch, step: where the run stood then.
        code: of its finding, or why it has none. found: it has one: it measured what it refuses.
    """

    check: str
    events: int
    epoch: int
    step: int
    code: str
    measured: object = None
    found: bool = False

    @property
    def where(self) -> str:
        if not self.step:
            return "before step 1"
        return f"step {self.step:,}" + (f", epoch {self.epoch}" if self.epoch else "")


def outcomes(checks: Sequence[Judged], run: Run) -> dict[str, Outcome]:
    return {item.name: item.outcome(run) for item in checks}


def prefix(run: Run, events: int) -> Run:
    """The run as it was after its first events: still going on."""
    return Run(events=run.events[:events], info=run.info, path=run.path)


def kills(checks: Sequence[Judged], clean: Mapping[str, Outcome], run: Run, *, stopped: bool = False) -> list[Kill]:
    """Every check that fails on ``run`` and not on the clean one, the earliest first.

    Args:
        stopped: the run was stopped by us: what is left open counts for nothing.
    """
    whole = prefix(run, len(run.events)) if stopped else run
    found = [] if stopped or run.death is None else [_process(run)]
    for item in checks:
        if clean[item.name].status in BAD:
            continue
        outcome = item.outcome(whole)
        if outcome.status in BAD and outcome.why is not Why.RUN_DIED:
            found.append(_first(item, whole, outcome))
    return sorted(found, key=lambda kill: kill.events)


def _process(run: Run) -> Kill:
    return Kill(check=PROCESS, events=len(run.events), epoch=run.last_epoch, step=_step(run), code="died")


def _first(item: Judged, run: Run, last: Outcome) -> Kill:
    """The shortest stretch on which it fails; a check's answer is final, so that halving finds it."""
    low, high = 0, len(run.events) + 1  # fails at high, not at low; one more than all is the ended run
    outcome = last
    while high - low > 1:
        middle = (low + high) // 2
        tried = item.outcome(prefix(run, middle))
        if tried.status in BAD:
            high, outcome = middle, tried
        else:
            low = middle
    then = prefix(run, min(high, len(run.events)))
    finding = outcome.finding
    code = finding.code if finding is not None else str(outcome.why.value if outcome.why else outcome.status.value)
    measured = finding.measured if finding is not None else None
    found, step = finding is not None, _step(then)
    return Kill(
        check=item.name, events=high, epoch=then.last_epoch, step=step, code=code, measured=measured, found=found
    )


def _step(run: Run) -> int:
    """The last step that any event speaks of: a measurement of a watcher comes before its window."""
    return max((getattr(event, "last_step", getattr(event, "step", 0)) for event in run.events), default=0)


def looks(run: Run) -> int:
    """Grows when judging the run again can find something: its data, an epoch, or twenty windows."""
    return len(run.of(ev.Epoch)) + len(run.of(ev.Data)) + len(run.of(ev.Evaluation)) + len(run.windows) // 20
