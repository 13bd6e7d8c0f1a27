"""Suite files as pytest nodes: ``suite.toml::seed0::cosine_floor[train_cosine@1]``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.finding import Status, Verdict, Why, not_applicable
from lvmcheck.errors import InputError
from lvmcheck.launch.run_job import RunJob
from lvmcheck.launch.verdicts import verdict_of
from lvmcheck.pytest_plugin.across import AcrossNode
from lvmcheck.pytest_plugin.constants import JOBS, UNNEEDED
from lvmcheck.pytest_plugin.needs import ONE_SEED, CheckFailed, Need, SuiteItem
from lvmcheck.pytest_plugin.pytest_api import without_pytest_frames
from lvmcheck.pytest_plugin.reference import JUDGE
from lvmcheck.pytest_plugin.session import LvmSession
from lvmcheck.report.failure import failure_of
from lvmcheck.report.verdicts import SEEDS
from lvmcheck.suite import Suite
from lvmcheck.text.fit import fit, fit_line


class Word(str):
    """A keyword that ``-k`` matches whole: ``epoch_1`` must not select ``epoch_10``, which takes ten times as long."""

    __slots__ = ()

    def lower(self) -> Word:
        return self

    def __contains__(self, asked: object, /) -> bool:
        return self == asked


class SuiteFile(pytest.File):
    """A suite.toml."""

    def collect(self) -> Iterator[pytest.Collector]:
        try:
            suite = LvmSession.of(self.config).suite(self.path)
        except InputError as problem:
            raise self.CollectError(fit(problem)) from None
        if any(entry.across is None for entry in suite.checks):
            yield from self._seeds(suite)
        if any(entry.across is not None for entry in suite.checks):
            yield AcrossNode.from_parent(self, name=SEEDS, suite=suite)

    def _seeds(self, suite: Suite) -> Iterator[pytest.Collector]:
        for seed in suite.seeds:
            yield SeedNode.from_parent(self, name=f"seed{seed}", suite=suite, seed=seed)


class SeedNode(pytest.Collector):
    """One seed of a suite: one run."""

    def __init__(self, *, suite: Suite, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.suite = suite
        self.seed = seed

    def collect(self) -> Iterator[pytest.Item]:
        for entry in self.suite.checks:
            if entry.across is not None:
                continue
            # From text, as pytest reads it back from its cache (--lf): a name in brackets would be another identity.
            nodeid = f"{self.nodeid}::{entry.node}"
            yield CheckItem.from_parent(
                self, name=entry.node, nodeid=nodeid, suite=self.suite, seed=self.seed, entry=entry
            )


class CheckItem(SuiteItem):
    """One check of one run."""

    turn = ONE_SEED

    def __init__(self, *, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        epochs = self.suite.config.get("epochs")
        self.due = self.entry.check.due(epochs if isinstance(epochs, int) else 1)
        self.extra_keyword_matches.add(Word(f"epoch_{self.due}"))
        self.add_marker(pytest.mark.lvm(seed=seed))
        if self.config.pluginmanager.hasplugin("xdist"):
            group = self.suite.name if self.suite.sequential else f"{self.suite.name}-seed{seed}"
            self.add_marker(pytest.mark.xdist_group(group))

    def needs(self) -> tuple[Need, ...]:
        return (Need(suite=self.suite, seed=self.seed, entry=self.entry),)

    def runtest(self) -> None:
        (job,) = self.stash[JOBS]
        unneeded = self.stash.get(UNNEEDED, None)
        if unneeded is not None:
            outcome = not_applicable(unneeded, Why.NOT_NEEDED)
            self._report(job, verdict_of(self.suite, self.entry, outcome, self.seed))
            pytest.skip(fit(unneeded))
        if self.entry.check.name() == JUDGE and LvmSession.of(self.config).options.reason is not None:
            pytest.skip("its reference is being written")
        verdict = job.verdict(self.entry)
        if job.raised is not None and verdict.status is Status.ERROR:
            raise job.raised  # in this process: the debugger wants the trainer's own frames
        self._report(job, verdict)
        if verdict.status in (Status.NOT_APPLICABLE, Status.NOT_RECORDED):
            pytest.skip(fit_line(verdict.outcome.reason))
        if verdict.status not in (Status.PASSED, Status.WARNING):
            raise CheckFailed(failure_of(self.entry, verdict, job, LvmSession.of(self.config).told))

    def _report(self, job: RunJob, verdict: Verdict) -> None:
        run = job.run
        self.report(
            verdict,
            run=os.path.relpath(run.path, self.config.invocation_params.dir) if run.path else None,
            ended=job.not_started or (run.stopped_where() if run.over else None),
            reused=job.reused,
            show_when_passed=self.entry.check.show_when_passed,
        )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if not isinstance(excinfo.value, CheckFailed):
            excinfo.traceback = without_pytest_frames(excinfo, __file__)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return Path(self.path), self.entry.line - 1, f"seed{self.seed}::{self.name}"
