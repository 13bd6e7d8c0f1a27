"""The message of a failed check, for the person whose run just failed at 3 a.m.: one cause, one screen.

In this order: what was measured, what is required and when; the figures behind it; where it is required; what the stop
saved; the run; the likeliest cause and, last, the command to type next.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.causes.wording import STANDINGS, diagnosis_lines, diagnosis_sentence
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.manual import usual_causes
from lvmcheck.checks.wording import evidence_lines, plural
from lvmcheck.launch.process import last_lines, stack_lines
from lvmcheck.report.progress import duration
from lvmcheck.report.verdicts import asked_line, message, unreached
from lvmcheck.run.events import Epoch

if TYPE_CHECKING:
    from lvmcheck.launch.run_job import RunJob
    from lvmcheck.suite import CheckEntry


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Lines for a terminal, below a headline that stands alone in the summary."""

    headline: str
    lines: tuple[str, ...]
    path: Path
    line: int

    def __str__(self) -> str:
        return "\n".join([self.headline, *self.lines])


def failure_of(entry: CheckEntry, verdict: Verdict, job: RunJob, told: dict[str, str] | None = None) -> Failure:
    """Everything to say about a check that did not pass; a cause that stands at another is only named.

    Args:
        told: name of a check -> where its usual causes stand already; this failure is added.
    """
    path = job.plan.suite.path
    run_line = [f"run   {short(job.run.path)}"] if job.run.path else []
    if job.problem is not None and verdict.status is Status.ERROR:
        trained = [] if job.run.step else ["Nothing was trained."]
        return Failure(headline=str(job.problem), lines=(*trained, *run_line), path=path, line=entry.line)
    lines = [*evidence_lines(verdict.finding), *required_by(verdict)]
    if not unreached(verdict):  # else the check that stopped the run says why
        lines += [
            *_stopped(verdict, job),
            *_output(job),
            *run_line,
            *_cause(entry, verdict, job, {} if told is None else told),
        ]
    return Failure(headline=headline(verdict), lines=tuple(lines), path=path, line=entry.line)


def headline(verdict: Verdict) -> str:
    """``train cosine 0.253 at epoch 1 (floor 0.48, abort below 0.45)``."""
    unclear = verdict.status in (Status.ERROR, Status.PENDING, Status.NOT_RECORDED)
    return f"could not be judged: {message(verdict)}" if unclear else message(verdict)


def required_by(verdict: Verdict) -> list[str]:
    """``required by suites/amn_790k/suite.toml:41 (success criteria)``."""
    return [f"required by {asked_line(verdict)}"] if verdict.asked is not None else []


def _stopped(verdict: Verdict, job: RunJob) -> list[str]:
    """What a stop has saved: epochs that were not trained, and about how long they would have taken."""
    planned, run = job.plan.config.get("epochs"), job.run
    if job.killed and verdict.finding is not None:  # else the headline says it
        return [run.stopped_where()]
    if not isinstance(planned, int) or run.done is None or run.done.get("status") != "stopped":
        return []
    left = planned - run.last_epoch
    known = [event.seconds for event in run.of(Epoch) if event.seconds]
    seconds = left * sum(known) / len(known) if known else 0.0
    if left <= 0:
        return []
    where = f"at epoch {run.last_epoch} of {planned} (step {run.step:,})" if run.step else "before the first step"
    saved = f", about {duration(seconds)} of compute not spent" if seconds >= 1 else ""
    return [f"stopped {where} by {run.done.get('reason')}; {plural(left, 'epoch')} not trained{saved}"]


def _output(job: RunJob) -> list[str]:
    stacks = stack_lines(job.folder) if job.killed else []
    if stacks:
        return ["", "where its threads were:", *(f"  {line}" for line in stacks), ""]
    last = last_lines(job.folder) if job.run.death is not None and job.problem is None else []
    return ["", "last output of the trainer:", *(f"  {line}" for line in last), ""] if last else []


def ended_lines(job: RunJob) -> list[str]:
    """What is known of how a run ended: its last output, and where its record is."""
    return [*_output(job), *([f"run   {short(job.run.path)}"] if job.run.path else [])]


def _cause(entry: CheckEntry, verdict: Verdict, job: RunJob, told: dict[str, str]) -> list[str]:
    """The likeliest cause from the whole run, in full once a run; else what usually causes this failure."""
    died = job.run.death is not None and not job.killed
    if job.not_started is not None or died or verdict.status is not Status.FAILED:
        return []
    causes = job.causes()
    if not causes:
        usual = usual_causes(type(entry.check)) if entry.expect is None else ()
        node = f"seed{verdict.seed}::{entry.node}"
        if usual and told.setdefault(verdict.check, node) != node:
            return [f"usual causes: see {told[verdict.check]}"]
        return ["", "usual causes", *(f"  - {cause}" for cause in usual)] if usual else []
    if job.explained_by in (None, entry.node):
        job.explained_by = entry.node
        return ["", *diagnosis_lines(causes[0])]
    return [f"{STANDINGS[causes[0].standing]}: {diagnosis_sentence(causes[0])} (see {job.explained_by})"]


def short(path: Path) -> str:
    """The path as it is shown: below the working directory where it is there."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
