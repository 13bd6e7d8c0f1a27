"""Suite files as pytest nodes: ``suite.toml::seed0::cosine_floor[train_cosine@1]``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.finding import Outcome, Status, not_applicable, outcome_json, plain
from lvmcheck.errors import InputError
from lvmcheck.launch.plan import as_expected
from lvmcheck.launch.run_job import RunJob
from lvmcheck.pytest_plugin.across import SEEDS, AcrossNode
from lvmcheck.pytest_plugin.reference import JUDGE
from lvmcheck.pytest_plugin.session import LvmSession
from lvmcheck.report.failure import CheckFailed, failure_text, found_words
from lvmcheck.suite import CheckEntry, Suite


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
            raise self.CollectError(str(problem)) from None
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


class CheckItem(pytest.Item):
    """One check of one run."""

    def __init__(self, *, suite: Suite, seed: int, entry: CheckEntry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.suite = suite
        self.seed = seed
        self.entry = entry
        self.job: RunJob | None = None
        self.unneeded: str | None = None  # why this seed is not trained, in a sequential suite
        epochs = suite.config.get("epochs")
        self.due = entry.check.due(epochs if isinstance(epochs, int) else 1)
        self.extra_keyword_matches.add(Word(f"epoch_{self.due}"))
        self.add_marker(pytest.mark.lvm(seed=seed))
        if self.config.pluginmanager.hasplugin("xdist"):
            group = suite.name if suite.sequential else f"{suite.name}-seed{seed}"
            self.add_marker(pytest.mark.xdist_group(group))

    @property
    def group(self) -> tuple[str, int]:
        return str(self.suite.path), self.seed

    def runtest(self) -> None:
        job = self.job
        assert job is not None
        if self.unneeded is not None:
            self._report(not_applicable(self.unneeded), job)
            pytest.skip(self.unneeded)
        outcome = job.outcomes[self.entry.node]
        if self.entry.check.name() == JUDGE and LvmSession.of(self.config).update is not None:
            pytest.skip("its reference is being written")
        if job.raised is not None and outcome.status is Status.ERROR:
            raise job.raised  # in this process: the debugger wants the trainer's own frames
        if self.entry.expect is not None:
            outcome = as_expected(self.entry, outcome, found_words(outcome, job))
        self._report(outcome, job)
        if outcome.status is Status.NOT_APPLICABLE:
            pytest.skip(outcome.reason)
        if outcome.status is not Status.PASSED:
            raise CheckFailed(failure_text(self.entry, outcome, job))

    def _report(self, outcome: Outcome, job: RunJob) -> None:
        """Numbers for JUnit, the terminal's table and other processes (xdist): plain values only."""
        body: dict[str, Any] = {
            "suite": self.suite.name,
            "file": str(self.suite.path),
            "line": self.entry.line,
            "profile": self.suite.profile,
            "seed": self.seed,
            "check": self.entry.node,
            "expected_failure": self.entry.expect is not None,
            "run": os.path.relpath(job.run.path, self.config.invocation_params.dir) if job.run.path else None,
            "ended": job.run.stopped_where() if job.run.over else None,
            "reused": job.reused,
            "told": self.entry.check.told,
            "unreached": self.entry.expect is None and left_open(outcome, job),
            **{key: plain(value) for key, value in outcome_json(outcome).items()},
        }
        self.user_properties.append(("lvm", body))
        self.user_properties.extend(
            (name, body[name]) for name in ("seed", "epoch", "measured", "wanted") if body[name] is not None
        )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CheckFailed):
            return excinfo.value.text
        excinfo.traceback = excinfo.traceback.cut(path=__file__)  # without pytest's own frames
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return Path(self.path), self.entry.line - 1, f"seed{self.seed}::{self.name}"


def left_open(outcome: Outcome, job: RunJob) -> bool:
    """Whether the outcome only says that another check ended the run, or kept it from starting."""
    if job.not_started is not None:
        return True
    return job.aborted_by is not None and outcome.status is Status.FAILED and outcome.finding is None
