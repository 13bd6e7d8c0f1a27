"""Checks that several seeds answer together: ``suite.toml::seeds::cosine_floor[val_cosine@final] mean``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.across import decide
from lvmcheck.checks.finding import Outcome, Status, outcome_json, plain
from lvmcheck.launch.run_job import RunJob
from lvmcheck.report.failure import CheckFailed, FailureText, short
from lvmcheck.suite import CheckEntry, Suite

SEEDS = "seeds"


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


class AcrossItem(pytest.Item):
    """One check over all seeds of a suite; ``jobs`` are theirs, in order."""

    def __init__(self, *, suite: Suite, entry: CheckEntry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.suite = suite
        self.entry = entry
        self.jobs: list[RunJob] = []
        self.add_marker(pytest.mark.lvm(seed=SEEDS))
        if self.config.pluginmanager.hasplugin("xdist"):
            self.add_marker(pytest.mark.xdist_group(suite.name))

    def runtest(self) -> None:
        outcome = answer(self.suite, self.entry, self.jobs)
        self._report(outcome)
        if outcome.status is not Status.PASSED:
            raise CheckFailed(self._text(outcome))

    def _text(self, outcome: Outcome) -> FailureText:
        source = f" ({self.entry.source})" if self.entry.source else ""
        lines = [*(outcome.finding.evidence if outcome.finding else ())]
        lines.append(f"asked for in {self.suite.path}:{self.entry.line}{source}")
        lines += [f"run   {short(job.run.path)}" for job in self.jobs if job.run.path]
        head = outcome.sentence()
        head = f"could not be judged: {head}" if outcome.status in (Status.ERROR, Status.PENDING) else head
        return FailureText(head, lines, self.suite.path, self.entry.line)

    def _report(self, outcome: Outcome) -> None:
        body: dict[str, Any] = {
            "suite": self.suite.name,
            "file": str(self.suite.path),
            "line": self.entry.line,
            "profile": self.suite.profile,
            "seed": SEEDS,
            "check": self.entry.node,
            "expected_failure": False,
            "run": None,
            "ended": None,
            "reused": None,
            "told": True,
            "unreached": False,
            **{key: plain(value) for key, value in outcome_json(outcome).items()},
        }
        self.user_properties.append(("lvm", body))
        self.user_properties.extend((name, body[name]) for name in ("seed", "measured", "wanted") if body[name])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CheckFailed):
            return excinfo.value.text
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return Path(self.path), self.entry.line - 1, f"{SEEDS}::{self.name}"


def answer(suite: Suite, entry: CheckEntry, jobs: list[RunJob]) -> Outcome:
    """The answer over the jobs whose outcome is known so far, in the order of the seeds."""
    assert entry.across is not None
    known: dict[int, Outcome] = {}
    for job in jobs:
        outcome = job.outcomes.get(entry.node)
        if outcome is None or not outcome.decided:
            break
        known[job.plan.seed] = outcome
    planned = len(suite.seeds)
    return decide(entry.across, known, planned=planned, looks=planned - 1 if suite.sequential else 1)


def settled_by(suite: Suite, jobs: list[RunJob]) -> str | None:
    """Why a further seed is not needed: what is asked of all seeds together is decided by these; None while open."""
    asked = [entry for entry in suite.checks if entry.across is not None]
    if not suite.sequential or not jobs or not asked:
        return None
    if any(answer(suite, entry, jobs).status is Status.PENDING for entry in asked):
        return None
    seeds = ", ".join(f"seed{job.plan.seed}" for job in jobs)
    return f"not needed: what is asked of all seeds together was decided by {seeds}"
