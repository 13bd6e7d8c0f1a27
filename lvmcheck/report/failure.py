"""The message of a failed check, for the person whose run just failed at 3 a.m.: one cause, one screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter

from lvmcheck.checks.finding import Outcome, Status, Verdict
from lvmcheck.checks.protocol import usual_causes
from lvmcheck.launch.process import last_lines
from lvmcheck.report.progress import duration
from lvmcheck.report.width import wrapped
from lvmcheck.run.events import Epoch

if TYPE_CHECKING:
    from lvmcheck.causes.protocol import Diagnosis
    from lvmcheck.launch.run_job import RunJob
    from lvmcheck.suite import CheckEntry


class FailureText(TerminalRepr):
    """Lines for the terminal, with a headline for the summary and a place for annotations."""

    def __init__(self, headline: str, lines: list[str], path: Path, line: int) -> None:
        self.headline = headline
        self.lines = lines
        self.reprcrash = ReprFileLocation(str(path), line, headline)

    def toterminal(self, tw: TerminalWriter) -> None:
        for line in wrapped(f"  {self.headline}", tw):
            tw.line(line, red=True, bold=True)
        for line in self.lines:
            for part in wrapped(f"  {line}" if line else "", tw):
                tw.line(part)

    def __str__(self) -> str:
        return "\n".join([self.headline, *self.lines])


class CheckFailed(Exception):  # noqa: N818 - named for what the person reads
    """A check that failed or could not be judged; carries the whole message."""

    def __init__(self, text: FailureText) -> None:
        super().__init__(text.headline)
        self.text = text


def failure_text(entry: CheckEntry, outcome: Outcome, job: RunJob) -> FailureText:
    """Everything to say about a check that did not pass; a cause that was told with another is only named."""
    path = job.plan.suite.path
    if job.problem is not None and outcome.status is Status.ERROR:
        kept = [] if job.run.step else ["Nothing was trained."]
        kept += [f"run   {short(job.run.path)}"] if job.run.path else []
        return FailureText(str(job.problem), kept, path, entry.line)
    headline = outcome.sentence()
    if outcome.status is Status.ERROR:
        headline = f"could not be judged: {headline.removeprefix('could not be judged: ')}"
    lines = list(outcome.finding.evidence) if outcome.finding else []
    source = f" ({entry.source})" if entry.source else ""
    lines.append(f"asked for in {path}:{entry.line}{source}")
    if outcome.finding is None and outcome.status is Status.FAILED:
        return FailureText(headline, lines, path, entry.line)  # not reached: the check that stopped the run says why
    lines += _stopped(outcome, job)
    lines += _output(job)
    if job.not_started is None and (job.run.death is None or job.killed) and outcome.status is Status.FAILED:
        lines += _told(entry, job)
    lines += [f"run   {short(job.run.path)}"] if job.run.path else []
    return FailureText(headline, lines, path, entry.line)


def found_words(outcome: Outcome, job: RunJob) -> str:
    """What was found, in words: sentence, evidence and the diagnosed cause.

    Neither the suite's own words nor the usual causes of the manual page: those stand in every message of a check.
    """
    lines = [outcome.sentence(), *(outcome.finding.evidence if outcome.finding else ())]
    if outcome.status is Status.FAILED:
        lines += [line for found in diagnoses(job)[:1] for line in found.lines()]
    return "\n".join(lines)


def _stopped(outcome: Outcome, job: RunJob) -> list[str]:
    """What a stop has saved: epochs that were not trained, and about how long they would have taken."""
    planned, run = job.plan.config.get("epochs"), job.run
    if job.killed and outcome.finding is not None:  # else the headline says it
        return [run.stopped_where()]
    if not isinstance(planned, int) or run.done is None or run.done.get("status") != "stopped":
        return []
    left = planned - run.last_epoch
    known = [event.seconds for event in run.of(Epoch) if event.seconds]
    if left <= 0:
        return []
    where = f"at epoch {run.last_epoch} of {planned} (step {run.step:,})" if run.step else "before the first step"
    spared = f", about {duration(left * sum(known) / len(known))} of compute not spent" if known else ""
    reason = run.done.get("reason")
    return [f"stopped {where} by {reason}; {left} epoch{'s' if left > 1 else ''} not trained{spared}"]


def _output(job: RunJob) -> list[str]:
    last = last_lines(job.folder) if job.run.death is not None and job.problem is None else []
    return ["", "last output of the trainer:", *(f"  {line}" for line in last)] if last else []


def _cause(entry: CheckEntry, job: RunJob) -> list[str]:
    """The likeliest cause from the whole run; else what usually causes this failure."""
    found = diagnoses(job)
    if found:
        return ["", *found[0].lines()]
    causes = usual_causes(type(entry.check)) if entry.expect is None else ()
    return ["", "usual causes", *(f"  - {cause}" for cause in causes)] if causes else []


def _told(entry: CheckEntry, job: RunJob) -> list[str]:
    """One line for a cause that an earlier failure of the same run has explained on its screen."""
    found = diagnoses(job)
    if not found or job.explained_by in (None, entry.node):
        job.explained_by = entry.node if found else job.explained_by
        return _cause(entry, job)
    return [f"likely cause: {found[0].sentence} (see {job.explained_by})"]


def diagnoses(job: RunJob) -> list[Diagnosis]:
    """The causes that a run shows, given what its own checks said, likeliest first."""
    from lvmcheck.causes.protocol import diagnose

    verdicts = [
        Verdict(check=entry.node, use=entry.use, outcome=job.outcomes[entry.node], seed=job.plan.seed)
        for entry in job.entries
        if entry.node in job.outcomes
    ]
    return diagnose(job.run, verdicts)


def short(path: Path) -> str:
    """The path as it is shown: below the working directory where it is there."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
