"""Looks at a run that goes on: each costs the same however long the run is, and says what the whole record says.

A look judges a view of bounded size (:mod:`lvmcheck.run.bounded`). What such a view shows counts once the whole record
shows it, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Asked, Outcome, Status, Verdict, Why, error
from lvmcheck.checks.protocol import Check, judge, universal_checks
from lvmcheck.run.bounded import AGAIN, BoundedFollower
from lvmcheck.run.directory import Follower
from lvmcheck.run.view import Run
from lvmcheck.run.weights import with_weights
from lvmcheck.suite.judging import judge_entry
from lvmcheck.suite.model import CheckEntry, Suite

DECIDED = (Status.FAILED, Status.WARNING, Status.PASSED)
UNREACHED = (Why.NOT_REACHED, Why.RUN_ENDED)


@dataclass(frozen=True)
class Question:
    """A check that judges the run: an entry of a suite, or a universal one that nobody asked for."""

    check: Check
    name: str
    entry: CheckEntry | None = None
    asked: Asked | None = None

    def answer(self, run: Run) -> Outcome:
        """Its answer on the run so far."""
        if self.entry is not None:
            return judge_entry(self.entry, run)
        return judge(self.check, with_weights(run.without_plan() if run.over else run)[0])

    def verdict(self, outcome: Outcome, run: Run) -> Verdict:
        """The answer with its address."""
        source = None if self.entry is None else self.entry.source
        return Verdict(
            name=self.name, check=self.check.name(), outcome=outcome, seed=run.seed, asked=self.asked, source=source
        )


def questions_of(suite: Suite | None) -> list[Question]:
    """What a suite asks of one run, or what is asked of any run.

    What must fail (a suite of known failures), and what all seeds answer together, is a matter for pytest.
    """
    if suite is None:
        return [Question(check, check.label()) for check in universal_checks()]
    own = [entry for entry in suite.checks if entry.expect is None and entry.across is None]
    return [Question(e.check, e.node, e, Asked(file=str(suite.path), line=e.line)) for e in own]


class Looks:
    """What a run's checks have answered so far.

    Attributes:
        questions: all of them; ``open`` those that are not decided.
        answers: the latest answer to each, by name.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = list(questions)
        self.restart()

    def restart(self) -> None:
        """Nothing is decided any more: the record was cut back."""
        self.open = list(self.questions)
        self.answers: dict[str, Outcome] = {}
        self._again: dict[str, float] = {}

    def look(self, follower: BoundedFollower) -> Iterator[tuple[Question, Outcome, Run]]:
        """Judge what is open; yields what is decided by it, with the run that shows it.

        Raises:
            InputError: the record cannot be read.
        """
        run, whole = follower.read(), None
        for question in list(self.open):
            if self._again.get(question.name, 0) > follower.offset:
                continue
            outcome = self.answers[question.name] = question.answer(run)
            if outcome.status not in DECIDED:
                continue
            if follower.thinned:
                whole = whole or Follower(follower.path).read()
                sure = self.answers[question.name] = question.answer(whole)
                if sure.status is not outcome.status:
                    self._again[question.name] = AGAIN * follower.offset
                    continue
                outcome = sure
            self.open.remove(question)  # decided is final
            yield question, outcome, whole or run

    def settle(self, run: Run) -> Iterator[tuple[Question, Outcome]]:
        """The run has ended: the answers of the whole record; where one belies what was said, an error, as in pytest.

        Yields those that were not said before.
        """
        decided = {q.name for q in self.questions} - {q.name for q in self.open}
        for question in self.questions:
            outcome = question.answer(run)
            known = self.answers[question.name].status if question.name in decided else None
            if known is not None and known is not outcome.status:
                said = f"{known.value} while the run went on, {outcome.status.value} of the whole record"
                outcome = error(f"two answers: {said}", Why.UNEXPECTED)
            self.answers[question.name] = outcome
            if known is not outcome.status:
                yield question, outcome
