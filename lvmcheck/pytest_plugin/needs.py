"""What an item needs before it can be decided, and when it is its turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from lvmcheck.checks.finding import Verdict
from lvmcheck.pytest_plugin.constants import JOBS
from lvmcheck.pytest_plugin.pytest_api import FailureRepr
from lvmcheck.report.failure import Failure
from lvmcheck.report.item import ItemReport, properties
from lvmcheck.suite import CheckEntry, Suite
from lvmcheck.text.fit import fit

NO_TRAINING, ONE_SEED, ALL_SEEDS = 0, 1, 2
"""Order of items: while those that need no training run, others are trained."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """The run of one seed of a suite.

    Args:
        entry: the check that must be decided; None needs the run to its end.
    """

    suite: Suite
    seed: int
    entry: CheckEntry | None = None


class CheckFailed(Exception):  # noqa: N818 - named for what the person reads
    """A check that failed or could not be judged; carries the whole message."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.headline)
        self.failure = failure


class SuiteItem(pytest.Item):
    """Base of the items of a suite file.

    Attributes:
        turn: one of the orders above.
        due: the first epoch after which it can be decided.
    """

    turn: ClassVar[int]

    def __init__(self, *, suite: Suite, entry: CheckEntry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.suite = suite
        self.entry = entry
        self.due = 0
        self.stash[JOBS] = []

    def needs(self) -> tuple[Need, ...]:
        """The runs that must be decided first, in order."""
        raise NotImplementedError

    def teardown(self) -> None:
        for job in self.stash[JOBS]:
            if job.unfinished is not None:
                pytest.fail(fit(job.unfinished), pytrace=False)

    def report(self, verdict: Verdict, **about: Any) -> None:
        """Have the verdict travel with pytest's own report."""
        item = ItemReport(
            verdict=verdict, suite=self.suite.name, profile=self.suite.profile, file=str(self.suite.path), **about
        )
        self.user_properties.extend(properties(item))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CheckFailed):
            return FailureRepr(excinfo.value.failure)
        return super().repr_failure(excinfo, style)
