"""A suite judged by the loop itself: ``record(..., suite="suite.toml", on_fail=...)``, outside of pytest.

A look reads what is new and judges the run so far. Epochs and data are always looked at; windows of steps only as often
as keeps looking below 2 % of the time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lvmcheck.causes.protocol import diagnose
from lvmcheck.causes.wording import diagnosis_sentence
from lvmcheck.checks.finding import Asked, Status, Verdict
from lvmcheck.checks.protocol import judge
from lvmcheck.checks.wording import asked_text, verdict_text
from lvmcheck.errors import InputError
from lvmcheck.run.directory import Follower
from lvmcheck.run.view import Run
from lvmcheck.suite import CheckEntry, load_suite

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder

OnFail = Literal["stop", "warn"] | Callable[[Verdict], None]
SHARE = 0.02
"""Share of the time that looking at windows of steps may take."""


class SuiteJudge:
    """Judges a run while it is recorded; the first sight of every failed check is one line on stderr.

    Attributes:
        verdicts: the checks that failed or warned so far, in the order of first sight.

    Args:
        suite: the suite file; its profile is the suite's default.
        on_fail: "stop" makes ``rec.stop`` true, "warn" leaves it at the line; a function is given the verdict.

    Raises:
        InputError: the suite cannot be read, or ``on_fail`` is none of these.
    """

    def __init__(self, suite: str | os.PathLike[str], on_fail: OnFail) -> None:
        if on_fail not in ("stop", "warn") and not callable(on_fail):
            raise InputError(
                "lvmcheck.record", f"expected 'stop', 'warn' or a function, got {on_fail!r}", key="on_fail"
            )
        self.verdicts: list[Verdict] = []
        self._suite = load_suite(Path(suite))
        # What must fail, and what all seeds answer together, is a matter for pytest.
        self._open = [entry for entry in self._suite.checks if entry.expect is None and entry.across is None]
        self._on_fail = on_fail
        self._follower: Follower | None = None
        self._cost, self._ended = 0.0, time.monotonic()

    def __call__(self, recorder: Recorder, waits: bool) -> None:
        """Something was recorded; ``waits`` where an epoch has ended or data are known."""
        began = time.monotonic()
        if not waits and self._cost > SHARE * (began - self._ended):
            return
        if self._follower is None:
            self._follower = Follower(recorder.path)
        self._look(recorder, self._follower.read())
        self._ended = time.monotonic()
        self._cost = self._ended - began

    def _look(self, recorder: Recorder, run: Run) -> None:
        for entry in list(self._open):
            if entry.calibrated_on is not None and entry.calibrated_on != run.data_name:
                continue
            outcome = judge(entry.check, run)
            if outcome.status is Status.PENDING:
                continue
            if outcome.status in (Status.FAILED, Status.WARNING):
                self._open.remove(entry)
                self._found(recorder, run, self._verdict(entry, run))
            elif outcome.status is Status.PASSED:
                self._open.remove(entry)  # decided is final

    def _verdict(self, entry: CheckEntry, run: Run) -> Verdict:
        asked = Asked(file=str(self._suite.path), line=entry.line)
        outcome = judge(entry.check, run)
        return Verdict(
            name=entry.node, check=entry.check.name(), outcome=outcome, seed=run.seed, asked=asked, source=entry.source
        )

    def _found(self, recorder: Recorder, run: Run, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        cause = next((d for d in diagnose(run, self.verdicts) if verdict.check in d.explains), None)
        said = f"{verdict_text(verdict)}, required by {asked_text(verdict.asked, verdict.source)}"
        said += f": {diagnosis_sentence(cause)}; {cause.fix}" if cause is not None else ""
        print(f"lvmcheck {said}", file=sys.stderr, flush=True)
        if callable(self._on_fail):
            self._on_fail(verdict)
        elif self._on_fail == "stop" and verdict.status is Status.FAILED:
            recorder.ask_to_stop(f"{verdict.name} of {self._suite.path}")
