"""Watches a pytest session and writes the reports that machines read, once, where the items' reports come together.

With xdist that is the controller: workers only send what they know of suites and runs.
"""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from lvmcheck import __version__
from lvmcheck.errors import InputError
from lvmcheck.pytest_plugin.hooks import SESSION
from lvmcheck.pytest_plugin.throughput import FAILING
from lvmcheck.report.machine import git
from lvmcheck.report.machine.outputs import RENDERERS, Outputs, on_github
from lvmcheck.report.machine.session import STATUS, CheckReport, SessionReport, SuiteReport, Tests, Trouble
from lvmcheck.report.machine.suites import merged, suite_report, with_verdict
from lvmcheck.report.terminal import lvm_of
from lvmcheck.run.events import spell

SENT = "lvmcheck_report"
LONGEST = 2000
"""Characters of what is kept of a failure that is no check's."""
FOREIGN_ANNOTATIONS = "pytest_github_actions_annotate_failures"

Key = tuple[str, str, int | str, str]
"""File as the items name it, profile, seed and check."""


def start(config: pytest.Config) -> None:
    """Watch this session if anything is to be written; what an earlier session left there goes now.

    Raises:
        pytest.UsageError: a file cannot be written, or nothing was given for its name.
    """
    asked = {kind: config.getoption(f"lvm_{kind}") for kind in RENDERERS}
    empty = next((kind for kind, name in asked.items() if name == ""), None)
    if empty is not None:
        raise pytest.UsageError(f"--lvm-{empty}: expected a file, got nothing")
    outputs = on_github({kind: config.invocation_params.dir / name for kind, name in asked.items() if name})
    if config.pluginmanager.hasplugin(FOREIGN_ANNOTATIONS):
        outputs = replace(outputs, annotate=False)
    if not outputs.files and outputs.step_summary is None and not outputs.annotate:
        return
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Messenger(config), "lvmcheck-messenger")
    else:
        config.pluginmanager.register(Watcher(config, outputs), "lvmcheck-watcher")


class Selection:
    """Which items were chosen and which were not."""

    def __init__(self) -> None:
        self.left_out: set[str] = set()
        self.selected: dict[Path, set[tuple[int | str, str]]] = {}
        self.count = 0

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.left_out.update(item.nodeid for item in items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.count = len(session.items)
        for item in session.items:
            marker = next(item.iter_markers("lvm"), None)
            if marker is not None:
                chosen = self.selected.setdefault(item.path, set())
                chosen.add((marker.kwargs["seed"], item.name))


def seen(config: pytest.Config, selection: Selection) -> list[tuple[str, SuiteReport]]:
    """Every suite of this process, under the name by which its items know its file."""
    if SESSION not in config.stash:
        return []
    session = config.stash[SESSION]
    root = git.top(config.rootpath) or config.rootpath
    found = []
    for path, suite in session.suites.items():
        jobs = [job for (file, _), job in session.launcher.jobs.items() if file == str(suite.path)]
        report = suite_report(suite, jobs, selection.selected.get(path, set()), lambda place: below(place, root))
        found.append((str(suite.path), report))
    return found


def below(place: Path, root: Path) -> str:
    """The path from ``root`` where it lies below it, with forward slashes."""
    whole = Path(os.path.normpath(place))
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(whole)


class Messenger(Selection):
    """In an xdist worker: sends what is known of suites and runs when the session ends."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__()
        self.config: Any = config

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        suites = [(name, spell(asdict(suite))) for name, suite in seen(self.config, self)]
        body = {"suites": suites, "count": self.count, "left_out": sorted(self.left_out)}
        self.config.workeroutput[SENT] = json.dumps(body)


class Watcher(Selection):
    """In the only process, or the one that controls workers: collects everything and writes the reports."""

    def __init__(self, config: pytest.Config, outputs: Outputs) -> None:
        super().__init__()
        self.config = config
        self.outputs = outputs
        self.began = time.time()
        self.suites: dict[str, SuiteReport] = {}
        self.reports: dict[str, dict[str, pytest.TestReport]] = {}
        self.bodies: list[tuple[Key, Mapping[str, Any], pytest.TestReport]] = []
        self.troubles: list[Trouble] = []
        self.first = SessionReport(
            lvmcheck=__version__,
            python=platform.python_version(),
            platform=platform.platform(),
            session=uuid.uuid4().hex,
            started=utc(self.began),
            arguments=tuple(map(str, config.invocation_params.args)),
            git=git.look(config.rootpath),
        )
        self._write(self.first, begin=True)

    # -- what pytest says ----------------------------------------------------------------------------------------------
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.troubles.append(Trouble(where=report.nodeid, when="collection", message=told(report)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reports.setdefault(report.nodeid, {})[report.when] = report
        body = lvm_of(report) if report.when == "call" else None
        if body is not None:
            key = (body["file"], body["profile"], body["seed"], body["check"])
            self.bodies.append((key, body, report))
        elif report.failed:
            when = report.when if report.when in ("setup", "teardown") else "call"  # "???" when a worker crashed
            self.troubles.append(Trouble(where=report.nodeid, when=when, message=told(report)))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended; one that crashed has sent nothing, and its runs are then missing."""
        from pydantic import TypeAdapter

        sent = getattr(node, "workeroutput", {}).get(SENT)
        if sent is None:
            return
        body = json.loads(sent)
        self.count = max(self.count, body["count"])
        self.left_out.update(body["left_out"])
        for name, raw in body["suites"]:
            suite = TypeAdapter(SuiteReport).validate_python(raw)
            self.suites[name] = merged(self.suites[name], suite) if name in self.suites else suite

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.suites |= dict(seen(self.config, self))
        self.troubles += [
            Trouble(where=each.name, when="throughput", message=each.sentence())
            for each in self.config.stash.get(FAILING, [])
        ]
        self._write(self.finished(int(session.exitstatus)), begin=False)

    # -- the report ----------------------------------------------------------------------------------------------------
    def finished(self, exit_status: int) -> SessionReport:
        """The report of the session as it ends."""
        ended = time.time()
        return replace(
            self.first,
            ended=utc(ended),
            seconds=round(ended - self.began, 3),
            status=STATUS.get(exit_status, f"exit status {exit_status}"),
            exit_status=exit_status,
            git_after=git.look(self.config.rootpath),
            tests=self._tests(),
            troubles=tuple(self.troubles),
            suites=tuple(self._with_verdicts(name, suite) for name, suite in self.suites.items()),
        )

    def _with_verdicts(self, name: str, suite: SuiteReport) -> SuiteReport:
        checks = {(check.seed, check.check): check for check in suite.checks}
        for (file, profile, seed, node), body, report in self.bodies:
            if (file, profile) == (name, suite.profile) and (seed, node) in checks:
                check = checks[seed, node]
                checks[seed, node] = with_verdict(check, body, pytest=report.outcome, seconds=report.duration)
        return replace(suite, checks=tuple(map(self._skipped, checks.values())))

    def _skipped(self, check: CheckReport) -> CheckReport:
        """A check without a verdict, with what pytest made of its item."""
        if check.status != "not run" or check.pytest != "nothing":
            return check
        said = next((report for report in self._phases(check.node) if report.outcome != "passed"), None)
        return check if said is None else replace(check, pytest=said.outcome, reason=told(said))

    def _phases(self, node: str) -> list[pytest.TestReport]:
        """Reports of an item by its node id in the report; xdist may write a group behind pytest's own."""
        front = below(self.config.rootpath, git.top(self.config.rootpath) or self.config.rootpath)
        own = node.removeprefix(f"{front}/")
        found = [phases for name, phases in self.reports.items() if own in (name, name.rpartition("@")[0])]
        return [report for phases in found for report in phases.values()]

    def _tests(self) -> Tests:
        each = [{when: report.outcome for when, report in phases.items()} for phases in self.reports.values()]
        return Tests(
            collected=self.count + len(self.left_out),
            deselected=len(self.left_out),
            passed=sum(phases.get("call") == "passed" for phases in each),
            failed=sum(phases.get("call") == "failed" for phases in each),
            skipped=sum("skipped" in phases.values() for phases in each),
            errors=sum("failed" in (phases.get("setup"), phases.get("teardown")) for phases in each)
            + sum(trouble.when == "collection" for trouble in self.troubles),
        )

    def _write(self, report: SessionReport, *, begin: bool) -> None:
        try:
            lines = [] if begin else self.outputs.end(report)
            if begin:
                self.outputs.begin(report)
        except InputError as problem:
            raise pytest.UsageError(str(problem)) from None
        reporter: Any = self.config.pluginmanager.getplugin("terminalreporter")
        if lines and reporter is not None:
            for line in ("", *lines):  # a command counts only at the start of a line, and dots may stand there
                reporter.write_line(line)


def utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def told(report: pytest.CollectReport | pytest.TestReport) -> str:
    """The reason of a skip or a failure, bounded."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])[:LONGEST]
    return str(report.longrepr or "")[-LONGEST:]
