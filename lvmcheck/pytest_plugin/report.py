"""Watches a pytest session and writes the reports that machines read, once, where the items' reports come together.

With xdist that is the controller: workers only send what they know of suites and runs.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import uuid
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lvmcheck import __version__
from lvmcheck.checks.finding import Why
from lvmcheck.checks.verdict_json import from_json, plain_json
from lvmcheck.errors import InputError
from lvmcheck.launch.executed import NONCE, executed, hashes
from lvmcheck.pytest_plugin.constants import SESSION, SLOWER, WITNESS
from lvmcheck.pytest_plugin.gated import disputed, handed_over, patched, watch, written_data
from lvmcheck.pytest_plugin.options import read_options, report_file
from lvmcheck.pytest_plugin.owed import honest
from lvmcheck.pytest_plugin.pytest_api import tell_command
from lvmcheck.report.item import ItemReport, item_report
from lvmcheck.report.machine import git
from lvmcheck.report.machine.outputs import RENDERERS, Outputs, on_github
from lvmcheck.report.machine.session import (
    STATUS,
    CheckReport,
    SessionReport,
    SourceFile,
    SuiteReport,
    Tests,
    TrainedReport,
    Trouble,
)
from lvmcheck.report.machine.suites import merged, suite_report, trained, with_verdict
from lvmcheck.run import directory as rundir
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.utc import utc
from lvmcheck.text.fit import fit

SENT = "lvmcheck_report"
LONGEST = 2000  # characters of the message of a failure that is no check's
FOREIGN_ANNOTATIONS = "pytest_github_actions_annotate_failures"


def start(config: pytest.Config) -> None:
    """Watch this session if anything is to be written; what an earlier session left there goes now.

    Raises:
        pytest.UsageError: a file cannot be written, or nothing was given for its name.
    """
    files = {kind: report_file(config, f"--lvm-{kind}") for kind in RENDERERS}
    outputs = on_github({kind: path for kind, path in files.items() if path is not None})
    if config.pluginmanager.hasplugin(FOREIGN_ANNOTATIONS):
        outputs = replace(outputs, annotate=False)
    if not outputs.files and outputs.step_summary is None and not outputs.annotate:
        return
    watch()
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Messenger(config))
    else:
        config.pluginmanager.register(SessionReporter(config, outputs))


class Selection:
    """Which items were chosen and which were not."""

    def __init__(self) -> None:
        self.before = frozenset(sys.modules)
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
        found.append((str(suite.path), handed_over(report, jobs, lambda place: below(place, root))))
    return found


def files_of(config: pytest.Config, before: Container[str]) -> dict[str, str]:
    """Path as the report shows it -> hash of what this process, its suites and its trainers executed and read.

    Args:
        before: modules that were there when the session began; those from elsewhere are the runner's own.
    """
    root = git.top(config.rootpath) or config.rootpath
    gated = NONCE in os.environ
    found = executed(root, outside=False, bytecode=gated)
    found |= executed(root, outside=True, but=before) if gated else {}
    found |= hashes(path for path in (config.inipath,) if path is not None)
    if SESSION in config.stash:
        session = config.stash[SESSION]
        found |= hashes(suite.path for suite in session.suites.values())
        for job in session.launcher.jobs.values():
            info = (read_json(job.run.path / rundir.INFO) or {}) if job.run.path else {}
            found |= {str(path): str(blob) for path, blob in info.get("executed", {}).items()}
    return {below(Path(path), root): blob for path, blob in found.items()}


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
        suites = [(name, plain_json(suite)) for name, suite in seen(self.config, self)]
        body = {"suites": suites, "count": self.count, "left_out": sorted(self.left_out)}
        body["files"] = files_of(self.config, self.before)
        body["troubles"] = [plain_json(trouble) for trouble in patched()]
        self.config.workeroutput[SENT] = json.dumps(body)


class SessionReporter(Selection):
    """In the only process, or the one that controls workers: collects everything and writes the reports."""

    def __init__(self, config: pytest.Config, outputs: Outputs) -> None:
        super().__init__()
        self.config = config
        self.outputs = outputs
        self.began = time.time()
        self.suites: dict[str, SuiteReport] = {}
        self.files: dict[str, str] = {}
        self.reports: dict[str, dict[str, pytest.TestReport]] = {}
        self.items: list[tuple[ItemReport, pytest.TestReport]] = []
        self.troubles: list[Trouble] = []
        self.trained: list[TrainedReport] = []
        self.first = SessionReport(
            lvmcheck=__version__,
            python=platform.python_version(),
            platform=platform.platform(),
            session=uuid.uuid4().hex,
            started=utc(self.began),
            arguments=tuple(map(str, config.invocation_params.args)),
            nonce=os.environ.get(NONCE, ""),
            git=git.look(config.rootpath),
        )
        self._write(self.first, begin=True)

    # -- from pytest ----------------------------------------------------------------------------------------------
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.troubles.append(Trouble(where=report.nodeid, when="collection", message=reason_of(report)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reports.setdefault(report.nodeid, {})[report.when] = report
        item = item_report(report) if report.when == "call" else None
        self.trained += trained(report)
        if item is not None:
            self.items.append((item, report))
        elif report.failed:
            when = report.when if report.when in ("setup", "teardown") else "call"  # "???" when a worker crashed
            self.troubles.append(Trouble(where=report.nodeid, when=when, message=reason_of(report)))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended; one that crashed has sent nothing, and its runs are then missing."""
        sent = getattr(node, "workeroutput", {}).get(SENT)
        if sent is None:
            return
        body = json.loads(sent)
        self.count = max(self.count, body["count"])
        self.left_out.update(body["left_out"])
        self.files |= body["files"]
        self.troubles += [from_json(Trouble, raw, SENT) for raw in body["troubles"]]
        for name, raw in body["suites"]:
            suite = from_json(SuiteReport, raw, name)
            self.suites[name] = merged(self.suites[name], suite) if name in self.suites else suite

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.suites |= dict(seen(self.config, self))
        self.files |= files_of(self.config, self.before)
        self.troubles += patched()
        self.troubles += [
            Trouble(where=each.name, when="throughput", message=each.sentence())
            for each in self.config.stash.get(SLOWER, [])
        ]
        report = self.finished(honest(session))
        named = dict(zip(self.suites, report.suites, strict=True))
        made = written_data(named, git.top(self.config.rootpath) or self.config.rootpath)
        report = replace(report, troubles=(*report.troubles, *made, *disputed(self.config, named)))
        self._write(report, begin=False)

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
            files=tuple(SourceFile(path=path, blob=blob) for path, blob in sorted(self.files.items())),
            tests=self._tests(),
            troubles=tuple(self.troubles),
            suites=tuple(self._with_verdicts(name, suite) for name, suite in self.suites.items()),
            trained=tuple(self.trained),
        )

    def _with_verdicts(self, name: str, suite: SuiteReport) -> SuiteReport:
        checks = {(check.verdict.seed, check.verdict.name): check for check in suite.checks}
        for item, report in self.items:
            key = item.verdict.seed, item.verdict.name
            if (item.file, item.profile) == (name, suite.profile) and key in checks:
                outcome, seconds = report.outcome, report.duration
                checks[key] = with_verdict(checks[key], item.verdict, pytest=outcome, seconds=seconds)
        return replace(suite, checks=tuple(map(self._skipped, checks.values())))

    def _skipped(self, check: CheckReport) -> CheckReport:
        """A check without a verdict, with what pytest made of its item."""
        verdict = check.verdict
        if verdict.outcome.why is not Why.NOT_RUN or check.pytest != "nothing":
            return check
        report = next((it for it in self._phases(check.node) if it.outcome != "passed"), None)
        if report is None:
            return check
        unsaid = replace(verdict, outcome=replace(verdict.outcome, reason=reason_of(report)))
        return replace(check, pytest=report.outcome, verdict=unsaid)

    def _phases(self, node: str) -> list[pytest.TestReport]:
        """Reports of an item by its node id in the report; xdist may write a group behind pytest's own."""
        front = below(self.config.rootpath, git.top(self.config.rootpath) or self.config.rootpath)
        own = node.removeprefix(f"{front}/")
        found = (phases for name, phases in self.reports.items() if own in (name, name.rpartition("@")[0]))
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
            raise pytest.UsageError(fit(problem)) from None
        if "json" in self.outputs.files and WITNESS in self.config.stash:
            witness, file = self.config.stash[WITNESS], self.outputs.files["json"]
            witness.begins(file) if begin else witness.wrote(file, read_options(self.config).check_timeout)
        reporter: Any = self.config.pluginmanager.getplugin("terminalreporter")
        if lines and reporter is not None:
            for line in ("", *lines):  # a command counts only at the start of a line, and dots may stand there
                tell_command(reporter, line)


def reason_of(report: pytest.CollectReport | pytest.TestReport) -> str:
    """The reason of a skip or a failure, bounded."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])[:LONGEST]
    return str(report.longrepr or "")[-LONGEST:]
