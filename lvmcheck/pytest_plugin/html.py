"""Writes the HTML report of a pytest session (``--lvm-report FILE``), once, where the items' reports come together.

With xdist that is the controller: what items say of themselves, and where their runs are, travels with their reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.finding import Verdict
from lvmcheck.errors import InputError
from lvmcheck.pytest_plugin.options import report_file
from lvmcheck.pytest_plugin.pytest_api import tell
from lvmcheck.report.html.page import write_report
from lvmcheck.report.html.report_run import MOST, Extra, ReportRun, distinct, report_run
from lvmcheck.report.item import item_report, trained_reports
from lvmcheck.report.verdicts import seed_text
from lvmcheck.run.directory import load
from lvmcheck.text.fit import fit

Place = tuple[str, int | str | None]
"""Name of a suite and the seed, or what all seeds answered together."""


def start(config: pytest.Config) -> None:
    """Watch this session, unless it is that of an xdist worker.

    Raises:
        pytest.UsageError: there is no place for the file.
    """
    target = report_file(config, "--lvm-report")
    if target is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(HtmlReporter(config, target, config.getoption("lvm_report")), "lvmcheck-html")


class HtmlReporter:
    """Collects the verdicts of the items of suites; writes the report when the session ends."""

    def __init__(self, config: pytest.Config, target: Path, shown: str) -> None:
        self.config = config
        self.target = target
        self.shown = shown
        self.verdicts: dict[Place, dict[str, Verdict]] = {}
        self.runs: dict[Place, Path] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        item = item_report(report)
        for one in [item] if item is not None else trained_reports(report):
            place = (one.suite, one.verdict.seed)
            self.verdicts.setdefault(place, {})[one.verdict.name] = one.verdict  # a rerun replaces
            if one.run:
                self.runs[place] = self.config.invocation_params.dir / one.run

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        runs, extras, problems = gathered(self.verdicts, self.runs)
        try:
            size = write_report(self.target, runs, extras, problems=problems)
        except InputError as problem:
            raise pytest.UsageError(fit(problem)) from None
        reporter: Any = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            tell(reporter, f"report {self.shown}  {size:,} bytes")


def gathered(
    verdicts: Mapping[Place, Mapping[str, Verdict]], paths: Mapping[Place, Path]
) -> tuple[tuple[ReportRun, ...], list[Extra], list[str]]:
    """Runs, verdicts without a run, and what could not be read: a report is written whatever happened."""
    runs: list[ReportRun] = []
    extras: list[Extra] = []
    problems: list[str] = []
    for (suite, seed), found in verdicts.items():
        own = tuple(found.values())
        path = paths.get((suite, seed))
        try:
            if path is not None and len(runs) < MOST:
                runs.append(report_run(load(path), label=seed_text(seed), verdicts=own))
                continue
        except InputError as problem:
            problems.append(str(problem))
        extras.append(Extra(label=seed_text(seed), suite=suite, verdicts=own))
    if len(runs) == MOST < len(paths):
        problems.append(f"{len(paths) - MOST} more runs are judged here and not drawn")
    return distinct(runs), extras, problems
