"""Checks that several seeds answer together: ``suite.toml::seeds::cosine_floor[val_cosine@final] mean``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.across import decide
from lvmcheck.checks.finding import Outcome, Status, Verdict, Why, error
from lvmcheck.checks.wording import evidence_lines
from lvmcheck.launch.run_job import RunJob
from lvmcheck.launch.verdicts import verdict_of
from lvmcheck.pytest_plugin.constants import JOBS
from lvmcheck.pytest_plugin.needs import ALL_SEEDS, CheckFailed, Need, SuiteItem
from lvmcheck.report.failure import Failure, headline, required_by, short
from lvmcheck.report.verdicts import SEEDS
from lvmcheck.run.alike import FIX, repeated
from lvmcheck.suite import CheckEntry, Suite


class AcrossNode(pytest.Collector):
    """All seeds of a suite."""

    def __init__(self, *, suite: Suite, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.suite = suite

    def collect(self) -> Iterator[pytest.Item]:
        for entry in self.suite.checks:
            if entry.across is not None:
                nodeid = f"{self.nodeid}::{entry.node}"
                yield AcrossItem.from_parent(self, name=entry.node, nodeid=nodeid, suite=self.suite, entry=entry)


class AcrossItem(SuiteItem):
    """One check over all seeds of a suite."""

    turn = ALL_SEEDS

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_marker(pytest.mark.lvm(seed=SEEDS))
        if self.config.pluginmanager.hasplugin("xdist"):
            self.add_marker(pytest.mark.xdist_group(self.suite.name))

    def needs(self) -> tuple[Need, ...]:
        return tuple(Need(suite=self.suite, seed=seed, entry=self.entry) for seed in self.suite.seeds)

    def runtest(self) -> None:
        jobs = self.stash[JOBS]
        verdict = verdict_of(self.suite, self.entry, answer(self.suite, self.entry, jobs), SEEDS)
        self.report(verdict, show_when_passed=True)
        if verdict.status not in (Status.PASSED, Status.WARNING):
            raise CheckFailed(self._failure(verdict, jobs))

    def _failure(self, verdict: Verdict, jobs: Sequence[RunJob]) -> Failure:
        lines = [*evidence_lines(verdict.finding), *required_by(verdict)]
        lines += [f"run   {short(job.run.path)}" for job in jobs if job.run.path]
        return Failure(headline=headline(verdict), lines=tuple(lines), path=self.suite.path, line=self.entry.line)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return Path(self.path), self.entry.line - 1, f"{SEEDS}::{self.name}"


def answer(suite: Suite, entry: CheckEntry, jobs: Sequence[RunJob]) -> Outcome:
    """The answer over the jobs whose outcome is known so far, in the order of the seeds."""
    assert entry.across is not None
    known: dict[int, Outcome] = {}
    for job in jobs:
        outcome = job.outcomes.get(entry.node)
        if outcome is None or not outcome.decided:
            break
        known[job.plan.seed] = outcome
    same = repeated([job.run for job in jobs[: len(known)]])
    if same is not None:
        return error(f"{same.problem()}. {FIX}", Why.SAME_RUNS)
    planned = len(suite.seeds)
    return decide(entry.across, known, planned=planned, looks=planned - 1 if suite.sequential else 1)


def settled_by(suite: Suite, jobs: Sequence[RunJob]) -> str | None:
    """Why a further seed is not needed: what is asked of all seeds together is decided by these; None while open."""
    asked = [entry for entry in suite.checks if entry.across is not None]
    if not suite.sequential or not jobs or not asked:
        return None
    if any(answer(suite, entry, jobs).status is Status.PENDING for entry in asked):
        return None
    seeds = ", ".join(f"seed{job.plan.seed}" for job in jobs)
    return f"not needed: what is asked of all seeds together was decided by {seeds}"
