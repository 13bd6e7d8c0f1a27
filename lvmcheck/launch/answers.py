"""What the checks of a job answer, of the run so far and of the whole record, and the causes that they show."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from lvmcheck.causes.protocol import Diagnosis, diagnose
from lvmcheck.checks.finding import Outcome, Status, Verdict, Why, error
from lvmcheck.launch.plan import Plan
from lvmcheck.launch.stop_deadline import StopDeadline
from lvmcheck.launch.verdicts import as_expected, verdict_of
from lvmcheck.run import directory as rundir
from lvmcheck.run import events as ev
from lvmcheck.run.bounded import AGAIN, BoundedView
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.view import Run
from lvmcheck.suite import CheckEntry
from lvmcheck.suite.judging import judge_entry

ALL_DECIDED = "the decision of every requested check"
JUDGE_SHARE, JUDGE_WAIT = 0.01, 2.0
"""Share of the time that judging windows may take, and the longest that one waits; data and epochs never wait."""


class Answers:
    """The judging side of a job, over the state that the job keeps."""

    plan: Plan
    entries: tuple[CheckEntry, ...]
    run: Run
    outcomes: dict[str, Outcome]
    _causes: list[Diagnosis]
    _causes_mark: tuple[int, int]
    whole: bool
    aborted_by: str | None
    _follower: rundir.Follower | None
    _deadline: StopDeadline
    _judged: int
    _judged_mark: tuple[int, int]
    _judge_after: float

    @property
    def folder(self) -> Path:
        """The run directory."""
        return self.plan.folder

    @cached_property
    def _view(self) -> BoundedView:
        """What looks are taken at while the run goes on."""
        return BoundedView()

    @cached_property
    def _again(self) -> dict[str, float]:
        """Events after which an entry is judged again whose answer the whole record did not confirm."""
        return {}

    def _judge_open(self, run: Run) -> None:
        """Judge what is open, so that a look costs the same however long the run is: a view of it answers, and what it
        decides counts as the whole record answers it.
        """
        view, limit = self._view.of(run), self.plan.settings.check_timeout
        for entry in self.entries:
            known = self.outcomes.get(entry.node)
            if (known is not None and known.decided) or self._again.get(entry.node, 0) > len(run.events):
                continue
            outcome = judge_entry(entry, view, limit=limit)
            if outcome.decided and view is not run:
                outcome = judge_entry(entry, run, limit=limit)
                self._again[entry.node] = AGAIN * len(run.events)
            self.outcomes[entry.node] = outcome

    def _judge_all(self) -> None:
        """Judge the whole record, whatever was answered of parts of it; an answer that this changes is an error."""
        for entry in self.entries:
            known = self.outcomes.get(entry.node)
            if known is not None and known.status is Status.ERROR:
                continue  # it crashed or hung: it is not asked again
            outcome = self._whole(entry)
            if known is not None and known.decided and known.status is not outcome.status:
                text = f"{known.status.value} while the run went on, {outcome.status.value} of the whole record"
                outcome = error(f"two answers: {text}", Why.UNEXPECTED)
            self.outcomes[entry.node] = outcome

    def _whole(self, entry: CheckEntry) -> Outcome:
        """The answer of the whole record: what was reached before a trainer died stays reached."""
        limit = self.plan.settings.check_timeout
        if self.run.death is not None:
            reached = judge_entry(entry, replace(self.run, death=None), limit=limit)
            if reached.decided:
                return reached
        return judge_entry(entry, self.run, limit=limit)

    def verdict(self, entry: CheckEntry) -> Verdict:
        """What the entry's check answered, after what its suite expects of it."""
        verdict = verdict_of(self.plan.suite, entry, self.outcomes[entry.node], self.plan.seed)
        return as_expected(entry, verdict, self.causes)

    def causes(self) -> list[Diagnosis]:
        """The causes that the run shows, given what its own checks answered, likeliest first; found once."""
        mark = len(self.run.events), sum(outcome.decided for outcome in self.outcomes.values())
        if self._causes_mark != mark:
            asked = [entry for entry in self.entries if entry.node in self.outcomes]
            known = [verdict_of(self.plan.suite, e, self.outcomes[e.node], self.plan.seed) for e in asked]
            self._causes, self._causes_mark = diagnose(self.run, known), mark
        return self._causes

    def _aborting(self) -> str | None:
        """The first check whose fail stops the run."""
        return next((entry.node for entry in self.entries if self.outcomes[entry.node].abort), None)

    def _judge_live(self) -> None:
        """Judge what has arrived, ask the trainer to stop if that is the answer, and tell it how far was judged."""
        assert self._follower is not None
        if not self._deadline.asked and self.asked_by_others is not None:
            self._deadline.ask()
        began = time.monotonic()
        mark = len(self.run.of(ev.Data)), self.run.last_epoch  # the trainer waits for the answer to these
        waits = began < self._judge_after and mark == self._judged_mark
        if self._follower.offset == self._judged or (waits and not self.run.over):
            return
        if not self.run.over:
            self._judge_open(self.run)
            reason = self._stop_reason()
            if reason is not None and not self._deadline.asked:
                self._deadline.ask()
                rundir.write_json(self.folder / rundir.STOP, {"reason": reason})
        self._judged, self._judged_mark = self._follower.offset, mark
        self._judge_after = began + min(JUDGE_WAIT, (time.monotonic() - began) / JUDGE_SHARE)
        (self.folder / rundir.JUDGED).write_text(str(self._judged))

    def _stop_reason(self) -> str | None:
        self.aborted_by = self._aborting()
        everything = not self.whole and all(outcome.decided for outcome in self.outcomes.values())
        return self.aborted_by or (ALL_DECIDED if everything else self.asked_by_others)

    @property
    def cancelled(self) -> str | None:
        """Why a run that waits in a queue is not to begin."""
        return self.asked_by_others if self._follower is not None else None

    @property
    def asked_by_others(self) -> str | None:
        """Why somebody else asked this run to stop (``lvmcheck runs --cancel``)."""
        asked = read_json(self.folder / rundir.STOP)
        return None if asked is None else str(asked.get("reason", "a request to stop"))
