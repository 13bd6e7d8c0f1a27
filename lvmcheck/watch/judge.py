"""A run judged by the loop that records it, outside of pytest: ``record(..., suite="suite.toml", on_fail=...)``.

A look costs the same however long the run is: it reads what is new and judges a view of bounded size
(:mod:`lvmcheck.run.bounded`). What such a view shows counts once the whole record shows it, too, and when the run has
ended the whole record is judged, so that no answer differs from that of ``lvmcheck check``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lvmcheck.causes.protocol import diagnose
from lvmcheck.causes.wording import diagnosis_sentence
from lvmcheck.checks.finding import Asked, Outcome, Status, Verdict, Why, error
from lvmcheck.checks.protocol import Check, judge, universal_checks
from lvmcheck.checks.wording import asked_text, counts_text, verdict_text
from lvmcheck.errors import InputError
from lvmcheck.run.bounded import AGAIN, BoundedFollower
from lvmcheck.run.directory import Follower
from lvmcheck.run.view import Run
from lvmcheck.run.weights import with_weights
from lvmcheck.suite import CheckEntry, load_suite
from lvmcheck.suite.judging import judge_entry

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder

OnFail = Literal["stop", "warn"] | Callable[[Verdict], None]
SHARE = 0.01
"""Share of the time that looks may take."""
ALWAYS = 20
"""First epochs whose end is looked at whatever it costs; later ones, if they are short, only within that share."""
BAD = (Status.FAILED, Status.WARNING)
UNREACHED = (Why.NOT_REACHED, Why.RUN_ENDED)


@dataclass(frozen=True)
class Question:
    """A check that judges the run: an entry of the suite, or a universal one that nobody asked for."""

    check: Check
    name: str
    entry: CheckEntry | None = None

    def answer(self, run: Run) -> Outcome:
        """Its answer on the run so far."""
        if self.entry is not None:
            return judge_entry(self.entry, run)
        return judge(self.check, with_weights(run.without_plan() if run.over else run)[0])


class LiveJudge:
    """Judges a run while it is recorded, and once more when it has ended; every failed check is one line on stderr.

    Attributes:
        verdicts: the checks that failed or warned so far, in the order of first sight.

    Args:
        suite: the suite file, whose profile is the suite's default; None for the checks that suit any run.
        on_fail: "stop" makes ``rec.stop`` true, "warn" leaves it at the line; a function is given the verdict.

    Raises:
        InputError: the suite cannot be read, or ``on_fail`` is none of these.
    """

    def __init__(self, suite: str | os.PathLike[str] | None, on_fail: OnFail) -> None:
        if on_fail not in ("stop", "warn") and not callable(on_fail):
            raise InputError(
                "lvmcheck.record", f"expected 'stop', 'warn' or a function, got {on_fail!r}", key="on_fail"
            )
        self.verdicts: list[Verdict] = []
        self._suite = None if suite is None else load_suite(Path(suite))
        if self._suite is None:
            self._questions = [Question(check, check.label()) for check in universal_checks()]
        else:  # what must fail, and what all seeds answer together, is a matter for pytest
            own = [entry for entry in self._suite.checks if entry.expect is None and entry.across is None]
            self._questions = [Question(entry.check, entry.node, entry) for entry in own]
        self._open = list(self._questions)
        self._decided: dict[str, Status] = {}
        self._again: dict[str, float] = {}
        self._on_fail = on_fail
        self._follower: BoundedFollower | None = None
        self._recorder: Recorder | None = None
        self._findings = 0
        self._cost, self._ended = 0.0, time.monotonic()
        self._broken = False

    # -- while it runs -------------------------------------------------------------------------------------------------
    def __call__(self, recorder: Recorder, waits: bool) -> None:
        """Something was recorded; ``waits`` where an epoch has ended or data are known."""
        began = time.monotonic()
        urgent = len(recorder.findings) > self._findings or (waits and recorder.epochs <= ALWAYS)
        if self._broken or not (urgent or self._cost <= SHARE * (began - self._ended)):
            return
        self._findings = len(recorder.findings)
        if self._follower is None:
            self._follower, self._recorder = BoundedFollower(recorder.path), recorder
        try:
            self._look(self._follower, recorder)
        except InputError as problem:
            self._give_up(problem)
        self._ended = time.monotonic()
        self._cost = self._ended - began

    def _look(self, follower: BoundedFollower, recorder: Recorder) -> None:
        run, whole = follower.read(), None
        for question in list(self._open):
            if self._again.get(question.name, 0) > recorder.written:
                continue
            outcome = question.answer(run)
            if outcome.status not in (*BAD, Status.PASSED):
                continue
            if follower.thinned:
                whole = whole or Follower(recorder.path).read()
                sure = question.answer(whole)
                if sure.status is not outcome.status:
                    self._again[question.name] = AGAIN * recorder.written
                    continue
                outcome = sure
            self._open.remove(question)  # decided is final
            self._decided[question.name] = outcome.status
            if outcome.status in BAD:
                self._found(question, outcome, whole or run)

    def _give_up(self, problem: InputError) -> None:
        """The record cannot be read: training goes on without its judge."""
        self._broken = True
        print(f"lvmcheck {problem}", file=sys.stderr, flush=True)

    # -- what was found ------------------------------------------------------------------------------------------------
    def _found(self, question: Question, outcome: Outcome, run: Run) -> None:
        asked = None
        if question.entry is not None and self._suite is not None:
            asked = Asked(file=str(self._suite.path), line=question.entry.line)
        source = None if question.entry is None else question.entry.source
        verdict = Verdict(
            name=question.name,
            check=question.check.name(),
            outcome=outcome,
            seed=run.seed,
            asked=asked,
            source=source,
        )
        self.verdicts.append(verdict)
        if not self._told(verdict):
            self._tell(verdict, run)
        if callable(self._on_fail):
            self._on_fail(verdict)
        elif self._on_fail == "stop" and verdict.status is Status.FAILED and self._recorder is not None:
            where = "" if self._suite is None else f" of {self._suite.path}"
            self._recorder.ask_to_stop(f"{verdict.name}{where}")

    def _told(self, verdict: Verdict) -> bool:
        """A watcher has said the same in this run already."""
        said = () if self._recorder is None else self._recorder.findings
        code = None if verdict.finding is None else verdict.finding.code
        return verdict.asked is None and any(
            item.check == verdict.check and item.finding is not None and item.finding.code == code for item in said
        )

    def _tell(self, verdict: Verdict, run: Run) -> None:
        cause = next((d for d in diagnose(run, self.verdicts) if verdict.check in d.explains), None)
        said = verdict_text(verdict)
        if verdict.asked is not None:
            said += f", required by {asked_text(verdict.asked, verdict.source)}"
        if cause is not None:
            said += f": {diagnosis_sentence(cause)}; {cause.fix}"
        print(f"lvmcheck {said}", file=sys.stderr, flush=True)

    # -- the end -------------------------------------------------------------------------------------------------------
    def end(self, recorder: Recorder) -> None:
        """The run has ended: judge the whole record, and say what was not said before."""
        self._recorder = recorder
        try:
            run = Follower(recorder.path).read()
        except InputError as problem:
            self._give_up(problem)
            return
        outcomes = {question.name: self._settled(question, run) for question in self._questions}
        for question in self._questions:
            outcome, known = outcomes[question.name], self._decided.get(question.name)
            new = known is None or known is not outcome.status
            if new and outcome.status in (*BAD, Status.ERROR) and outcome.why not in UNREACHED:
                self._found(question, outcome, run)
        name = "" if self._suite is None else f"{self._suite.name}: "
        print(f"lvmcheck {name}{counts_text(outcomes.values())}: {run.stopped_where()}", file=sys.stderr, flush=True)

    def _settled(self, question: Question, run: Run) -> Outcome:
        """The answer of the whole record; where it belies what was said live, an error, as in pytest."""
        outcome, known = question.answer(run), self._decided.get(question.name)
        if known is not None and known is not outcome.status:
            said = f"{known.value} while the run went on, {outcome.status.value} of the whole record"
            return error(f"two answers: {said}", Why.UNEXPECTED)
        return outcome
