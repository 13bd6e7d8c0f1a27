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
    from lvmcheck.launch.trial import Trial
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


def failure_text(entry: CheckEntry, outcome: Outcome, trial: Trial) -> FailureText:
    """Everything to say about a check that did not pass; a cause that was told with another is only named."""
    path = trial.plan.suite.path
    if trial.problem is not None and outcome.status is Status.ERROR:
        kept = [] if trial.run.step else ["Nothing was trained."]
        kept += [f"run   {short(trial.run.path)}"] if trial.run.path else []
        return FailureText(str(trial.problem), kept, path, entry.line)
    headline = outcome.sentence()
    if outcome.status is Status.ERROR:
        headline = f"could not be judged: {headline.removeprefix('could not be judged: ')}"
    lines = list(outcome.finding.evidence) if outcome.finding else []
    source = f" ({entry.source})" if entry.source else ""
    lines.append(f"asked for in {path}:{entry.line}{source}")
    if outcome.finding is None and outcome.status is Status.FAILED:
        return FailureText(headline, lines, path, entry.line)  # not reached: the check that stopped the run says why
    lines += _stopped(outcome, trial)
    lines += _output(trial)
    if trial.not_started is None and (trial.run.death is None or trial.killed) and outcome.status is Status.FAILED:
        lines += _told(entry, trial)
    lines += [f"run   {short(trial.run.path)}"] if trial.run.path else []
    return FailureText(headline, lines, path, entry.line)


def found_words(outcome: Outcome, trial: Trial) -> str:
    """What was found, in words: sentence, evidence and the diagnosed cause.

    Neither the suite's own words nor the usual causes of the manual page: those stand in every message of a check.
    """
    lines = [outcome.sentence(), *(outcome.finding.evidence if outcome.finding else ())]
    if outcome.status is Status.FAILED:
        lines += [line for found in diagnoses(trial)[:1] for line in found.lines()]
    return "\n".join(lines)


def _stopped(outcome: Outcome, trial: Trial) -> list[str]:
    """What a stop has saved: epochs that were not trained, and about how long they would have taken."""
    planned, run = trial.plan.config.get("epochs"), trial.run
    if trial.killed and outcome.finding is not None:  # else the headline says it
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


def _output(trial: Trial) -> list[str]:
    last = last_lines(trial.folder) if trial.run.death is not None and trial.problem is None else []
    return ["", "last output of the trainer:", *(f"  {line}" for line in last)] if last else []


def _cause(entry: CheckEntry, trial: Trial) -> list[str]:
    """The likeliest cause from the whole run; else what usually causes this failure."""
    found = diagnoses(trial)
    if found:
        return ["", *found[0].lines()]
    causes = usual_causes(type(entry.check)) if entry.expect is None else ()
    return ["", "usual causes", *(f"  - {cause}" for cause in causes)] if causes else []


def _told(entry: CheckEntry, trial: Trial) -> list[str]:
    """One line for a cause that an earlier failure of the same run has explained on its screen."""
    found = diagnoses(trial)
    if not found or trial.explained_by in (None, entry.node):
        trial.explained_by = entry.node if found else trial.explained_by
        return _cause(entry, trial)
    return [f"likely cause: {found[0].sentence} (see {trial.explained_by})"]


def diagnoses(trial: Trial) -> list[Diagnosis]:
    """The causes that a run shows, given what its own checks said, likeliest first."""
    from lvmcheck.causes.protocol import diagnose

    verdicts = [
        Verdict(check=entry.node, use=entry.use, outcome=trial.outcomes[entry.node], seed=trial.plan.seed)
        for entry in trial.entries
        if entry.node in trial.outcomes
    ]
    return diagnose(trial.run, verdicts)


def short(path: Path) -> str:
    """The path as it is shown: below the working directory where it is there."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
