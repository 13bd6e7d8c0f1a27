"""What a Python test was answered: kept beside the test, told when it fails, reported when it ends."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lvmcheck.checks.finding import Asked, Outcome, Status, Verdict
from lvmcheck.checks.verdict_json import plain_json
from lvmcheck.errors import InputError
from lvmcheck.launch.run_job import RunJob
from lvmcheck.pytest_plugin.constants import ANSWERS, CURRENT
from lvmcheck.report.item import TRAINED, ItemReport
from lvmcheck.report.trained import Told, told
from lvmcheck.report.verdicts import SEEDS, seed_text
from lvmcheck.run.values import caller
from lvmcheck.suite.called import PROFILE, Call
from lvmcheck.text.fit import fit, fit_lines

_ORDER = itertools.count(1)
GOOD = (Status.PASSED, Status.WARNING)


def here(config: pytest.Config) -> Call:
    """File and line of the test's call, as they are shown."""
    file, line = caller()
    shown = os.path.relpath(file, config.invocation_params.dir)
    return Call(Path(file if shown.startswith("..") else shown), line or 1)


def refuse(problem: InputError | str) -> NoReturn:
    """Fail the test with a message that is whole without a traceback."""
    __tracebackhide__ = True
    raise pytest.fail.Exception(fit(problem), pytrace=False) from None


@dataclass(eq=False)
class Answer:
    """One verdict on the runs of a training; true where it passed.

    Args:
        jobs: seed -> its job. worst: the seed that is furthest from what was asked. metric: whose curve is shown.

    Attributes:
        shown: an assertion has shown it. doubted: when its truth was asked for last, where it is false.
    """

    verdict: Verdict
    jobs: Mapping[int, RunJob]
    worst: int
    metric: str | None = None
    shown: bool = False
    doubted: int = 0
    _told: Told | None = None

    @property
    def passed(self) -> bool:
        return self.verdict.status in GOOD

    def __bool__(self) -> bool:
        if not self.passed:
            self.doubted = next(_ORDER)
        return self.passed

    def __repr__(self) -> str:
        seed = f"{seed_text(self.verdict.seed)}: " if len(self.jobs) > 1 and self.verdict.seed != SEEDS else ""
        return seed + self.told().headline

    def told(self, *, where: bool = False) -> Told:
        """What a failure says; found once."""
        if self._told is None:
            self._told = told(self.verdict, self.jobs[self.worst].run, self.metric, where=where)
        return self._told

    def report(self, item: pytest.Item) -> ItemReport:
        """What the reports of a session are told; a verdict of one seed with its run."""
        job = self.jobs[self.worst]
        run, suite = job.run, job.plan.suite
        one = run.path if self.verdict.seed != SEEDS else None
        return ItemReport(
            verdict=self.verdict,
            suite=f"{item.nodeid}: {suite.place[:-10]}",  # other trainings have the same names of verdicts and seeds
            profile=PROFILE,
            file=str(suite.path),
            run=os.path.relpath(one, item.config.invocation_params.dir) if one else None,
            ended=job.not_started or (run.stopped_where() if run.over else None),
            reused=job.reused,
        )


def verdict_at(call: Call, name: str, check: str, outcome: Outcome, seed: int | str) -> Verdict:
    return Verdict(name=name, check=check, outcome=outcome, seed=seed, asked=Asked(file=str(call.path), line=call.line))


def keep(config: pytest.Config, answer: Answer) -> Answer:
    """Remember what the running test was answered."""
    item = config.stash.get(CURRENT, None)
    if item is not None:
        item.stash.setdefault(ANSWERS, []).append(answer)
    return answer


def report(item: pytest.Item, call: pytest.CallInfo[Any], outcome: pytest.TestReport) -> None:
    """Have the verdicts travel with pytest's report, and say the rest of what an assertion had no room for."""
    answers = item.stash.get(ANSWERS, [])
    if call.when != "call" or not answers:
        return
    # What a test that passed did not assert is no verdict of it.
    said = answers if outcome.failed else [answer for answer in answers if answer.passed]
    reports = [plain_json(answer.report(item)) for answer in said]
    outcome.user_properties.append((TRAINED, reports))
    last = max(answers, key=lambda answer: answer.doubted)
    if not last.doubted or call.excinfo is None or not call.excinfo.errisinstance(AssertionError):
        return
    lines = last.told().rest if last.shown else last.told().whole
    if lines:
        outcome.sections.append(("lvmcheck", fit_lines(lines)))
