"""A run judged by the loop that records it, outside of pytest: ``record(..., suite="suite.toml", on_fail=...)``.

While the run goes on it is looked at (:mod:`lvmcheck.suite.looks`), epochs and findings of watchers at once, windows of
steps as often as keeps looking below a hundredth of the time. When it has ended the whole record is judged, so that no
answer differs from that of ``lvmcheck check``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lvmcheck.causes.protocol import diagnose
from lvmcheck.causes.wording import diagnosis_sentence
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.wording import asked_text, counts_text, verdict_text
from lvmcheck.errors import InputError
from lvmcheck.run.bounded import BoundedFollower
from lvmcheck.run.directory import Follower
from lvmcheck.run.view import Run
from lvmcheck.suite import load_suite, suite_file
from lvmcheck.suite.looks import UNREACHED, Looks, questions_of
from lvmcheck.text.say import complain

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder

OnFail = Literal["stop", "warn"] | Callable[[Verdict], None]
SHARE = 0.01
"""Share of the time that looks may take."""
ALWAYS = 20
"""First epochs whose end is looked at whatever it costs; later ones, if they are short, only within that share."""
BAD = (Status.FAILED, Status.WARNING)


class LiveJudge:
    """Judges a run while it is recorded, and once more when it has ended; every failed check is one line on stderr.

    Attributes:
        verdicts: the checks that failed, warned or (at the end) could not be judged, in the order of first sight.

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
        self._suite = None if suite is None else load_suite(suite_file(Path(suite)))
        self._looks = Looks(questions_of(self._suite))
        self._on_fail = on_fail
        self._follower: BoundedFollower | None = None
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
        self._follower = self._follower or BoundedFollower(recorder.path)
        try:
            for question, outcome, run in self._looks.look(self._follower):
                if outcome.status in BAD:
                    self._found(question.verdict(outcome, run), run, recorder)
        except InputError as problem:
            self._give_up(problem)
        self._ended = time.monotonic()
        self._cost = self._ended - began

    def _give_up(self, problem: InputError) -> None:
        """The record cannot be read: training goes on without its judge."""
        self._broken = True
        complain(f"lvmcheck {problem}")

    def _found(self, verdict: Verdict, run: Run, recorder: Recorder) -> None:
        self.verdicts.append(verdict)
        if not _told(verdict, recorder):
            self._tell(verdict, run)
        if callable(self._on_fail):
            self._on_fail(verdict)
        elif self._on_fail == "stop" and verdict.status is Status.FAILED:
            where = "" if self._suite is None else f" of {self._suite.path}"
            recorder.ask_to_stop(f"{verdict.name}{where}")

    def _tell(self, verdict: Verdict, run: Run) -> None:
        cause = next((d for d in diagnose(run, self.verdicts) if verdict.check in d.explains), None)
        said = verdict_text(verdict)
        if verdict.asked is not None:
            said += f", required by {asked_text(verdict.asked, verdict.source)}"
        if cause is not None:
            said += f": {diagnosis_sentence(cause)}; {cause.fix}"
        complain(f"lvmcheck {said}")

    # -- the end -------------------------------------------------------------------------------------------------------
    def end(self, recorder: Recorder) -> None:
        """The run has ended: judge the whole record, and say what was not said before."""
        try:
            run = Follower(recorder.path).read()
        except InputError as problem:
            self._give_up(problem)
            return
        for question, outcome in list(self._looks.settle(run)):
            if outcome.status in (*BAD, Status.ERROR) and outcome.why not in UNREACHED:
                self._found(question.verdict(outcome, run), run, recorder)
        name = "" if self._suite is None else f"{self._suite.name}: "
        counts = counts_text(self._looks.answers.values())
        complain(f"lvmcheck {name}{counts}: {run.stopped_where()}")


def _told(verdict: Verdict, recorder: Recorder) -> bool:
    """A watcher has said the same in this run already."""
    code = None if verdict.finding is None else verdict.finding.code
    return verdict.asked is None and any(
        item.check == verdict.check and item.finding is not None and item.finding.code == code
        for item in recorder.findings
    )
