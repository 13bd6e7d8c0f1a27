"""Writes the HTML report of a pytest session (``--lvm-report FILE``), once, where the items' reports come together.

With xdist that is the controller: what items say of themselves, and where their runs are, travels with their reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.errors import InputError
from lvmcheck.report.html.page import write_report
from lvmcheck.report.html.rows import Row, session_row
from lvmcheck.report.html.subject import MOST, Extra, Subject, distinct, subject_of
from lvmcheck.report.terminal import column, lvm_of
from lvmcheck.run.directory import load

Place = tuple[str, int | str]
"""Name of a suite and the seed, or what all seeds answered together."""


def start(config: pytest.Config) -> None:
    """Watch this session, unless it is that of an xdist worker.

    Raises:
        pytest.UsageError: there is no place for the file.
    """
    asked = config.getoption("lvm_report")
    if asked == "":
        raise pytest.UsageError("--lvm-report: expected a file, got nothing")
    target = config.invocation_params.dir / asked
    if target.is_dir():
        raise pytest.UsageError(f"--lvm-report: expected a file, got the folder {asked}")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Reporter(config, target, asked), "lvmcheck-html")


class Reporter:
    """Collects what the items of suites said; writes the report when the session ends."""

    def __init__(self, config: pytest.Config, target: Path, shown: str) -> None:
        self.config = config
        self.target = target
        self.shown = shown
        self.rows: dict[Place, dict[str, Row]] = {}
        self.runs: dict[Place, Path] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        body = lvm_of(report) if report.when == "call" else None
        if body is None:
            return
        place = (str(body["suite"]), body["seed"])
        self.rows.setdefault(place, {})[str(body["check"])] = session_row(body, where=report.nodeid)  # a rerun replaces
        if body["run"]:
            self.runs[place] = self.config.invocation_params.dir / str(body["run"])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        subjects, extras, problems = gathered(self.rows, self.runs)
        try:
            size = write_report(self.target, subjects, extras, problems=problems)
        except InputError as problem:
            raise pytest.UsageError(str(problem)) from None
        reporter: Any = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"report {self.shown}  {size:,} bytes")


def gathered(
    rows: Mapping[Place, Mapping[str, Row]], runs: Mapping[Place, Path]
) -> tuple[tuple[Subject, ...], list[Extra], list[str]]:
    """Runs, verdicts without a run, and what could not be read: a report is written whatever happened."""
    subjects: list[Subject] = []
    extras: list[Extra] = []
    problems: list[str] = []
    for (suite, seed), found in rows.items():
        said = tuple(found.values())
        path = runs.get((suite, seed))
        try:
            if path is not None and len(subjects) < MOST:
                subjects.append(subject_of(load(path), label=column(seed), rows=said))
                continue
        except InputError as problem:
            problems.append(str(problem))
        extras.append(Extra(label=column(seed), suite=suite, rows=said))
    if len(subjects) == MOST < len(runs):
        problems.append(f"{len(runs) - MOST} more runs are judged here and not drawn")
    return distinct(subjects), extras, problems
