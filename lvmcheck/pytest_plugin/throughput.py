"""``--lvm-throughput-compare FILE``: each benchmark against its stored result, and the session fails on a slower one.

Where pytest-benchmark writes a document, what the session left unmeasured is added to it, so that a partial
session is not taken for a complete one.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import pytest

from lvmcheck.comparison.throughput import stored
from lvmcheck.comparison.throughput.comparison import RatioComparison, compare, compare_all, complaints, require_kind
from lvmcheck.comparison.throughput.result import Result, result_of
from lvmcheck.comparison.throughput.several import together
from lvmcheck.comparison.throughput.table import table
from lvmcheck.errors import InputError
from lvmcheck.pytest_plugin.constants import SLOWER
from lvmcheck.pytest_plugin.options import option
from lvmcheck.pytest_plugin.pytest_api import run_again, tell, tell_heading
from lvmcheck.text.fit import fit

OPTION = "--lvm-throughput-compare"
AGAIN = 2
"""How often a benchmark that seems slower is measured again when all others are done."""


def start(config: pytest.Config) -> None:
    """Watch the benchmarks of a session that are written or compared.

    Raises:
        pytest.UsageError: there is nothing to compare with, or nothing would be measured.
    """
    asked = config.getoption("lvm_throughput_compare")
    if hasattr(config, "workerinput") or config.getoption("collectonly", False):
        return
    if asked is None:
        config.pluginmanager.register(BenchmarkWatcher(config))
        return
    why = nothing_measured(config)
    if why is not None:
        raise pytest.UsageError(fit(f"{OPTION}: nothing would be measured: {why}"))
    shown = ", ".join(asked)
    try:
        known = together([_document(config, name) for name in asked])
    except InputError as problem:
        raise pytest.UsageError(fit(problem)) from None
    device = option(config, "--lvm-device")
    if device and device != "auto" and device not in known.devices:
        held = ", ".join(known.devices)
        clash = f"holds results on {held}, and --lvm-device asks for {device}: different kinds are never compared"
        raise pytest.UsageError(fit(f"{shown}: {clash}"))
    config.pluginmanager.register(Comparer(config, known, shown))


def _document(config: pytest.Config, name: str) -> stored.Stored:
    """The stored session in a file, which this session may not write over."""
    if not name:
        raise InputError(OPTION, "expected a file, got nothing")
    path = config.invocation_params.dir / name
    written = config.getoption("benchmark_json", None)
    if written is not None and (config.invocation_params.dir / str(written)).resolve() == path.resolve():
        raise InputError(name, "would be written over by --benchmark-json, and a slow decline would never be seen")
    return stored.read(path)


def nothing_measured(config: pytest.Config) -> str | None:
    """Why pytest-benchmark will measure nothing in this session; None where it will."""
    if not config.pluginmanager.hasplugin("benchmark"):
        return "pytest-benchmark is off (-p no:benchmark)"
    if config.getoption("numprocesses", None) or config.getoption("dist", "no") != "no":
        return "pytest-benchmark is off with several processes (-n), which disturb each other's time"
    off = ("benchmark_disable", "benchmark_skip")
    named = [f"--{name.replace('_', '-')}" for name in off if config.getoption(name, False)]
    if named and not config.getoption("benchmark_enable", False):
        return f"{named[0]} is given"
    return None


class BenchmarkWatcher:
    """Which benchmarks a session was asked for, which it measured, and why not the others."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.asked: set[str] = set()
        self.measured: set[str] = set()
        self.results: dict[str, Result] = {}
        self.absent: dict[str, str] = {}
        self.skipped: set[str] = set()
        self.broken: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.asked = {item.nodeid for item in session.items if "benchmark" in getattr(item, "fixturenames", ())}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if item.nodeid in self.asked and call.when in ("setup", "call"):
            self.look(item, report)
        return report

    def look(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Take the result of a benchmark that has just run, the fastest of several, or why it has none."""
        fixture = getattr(item, "funcargs", {}).get("benchmark")
        if report.when == "call" and fixture is not None and fixture.stats and not fixture.has_error:
            self.measured.add(item.nodeid)
            try:
                result = result_of(item.nodeid, fixture.extra_info, "this session")
            except InputError as problem:
                self.absent[item.nodeid] = f"{str(problem.key).rpartition(': ')[2]}: {problem.problem}"
                self.broken.add(item.nodeid)
                return
            if result is not None:
                known = self.results.get(item.nodeid, result)
                self.results[item.nodeid] = min(known, result, key=lambda each: each.high)  # fast, and not by chance
                return
        if item.nodeid in self.results:
            return
        if report.skipped:
            self.skipped.add(item.nodeid)
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            self.absent[item.nodeid] = str(reason)[:200].removeprefix("Skipped: ")
        elif report.failed:
            self.absent[item.nodeid] = f"failed in {report.when}"
        elif report.when == "call":
            self.absent[item.nodeid] = "states no 'relative'" if item.nodeid in self.measured else "measured nothing"

    def missing(self) -> dict[str, str]:
        """Benchmarks that were asked for, are not measured and were not skipped, each with why."""
        left = self.asked - self.measured - self.skipped
        return {name: self.absent.get(name, "not reached") for name in sorted(left)}

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        output_json["benchmarks"] = stored.fastest(output_json["benchmarks"])
        output_json[stored.BLOCK] = stored.block(self.asked, self.missing())


class Comparer(BenchmarkWatcher):
    """Compares when the session ends, and fails it."""

    def __init__(self, config: pytest.Config, known: stored.Stored, shown: str) -> None:
        super().__init__(config)
        self.known = known
        self.shown = shown
        self.compared: list[RatioComparison] = []
        self.failed: list[str] = []
        self.others: list[str] = []
        self.again: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        done = yield
        for _ in range(AGAIN):
            doubtful = [item for item in session.items if self._doubtful(item.nodeid)]
            self.again |= {item.nodeid for item in doubtful}
            for item, following in zip(doubtful, [*doubtful, None][1:], strict=True):
                run_again(item, following)
        return done

    def _doubtful(self, name: str) -> bool:
        """Whether a benchmark seems slower, or is too noisy: at another moment it may not be."""
        if name not in self.results or name not in self.known.results:
            return False
        compared = compare(self.results[name], self.known.results[name])
        return compared.failing and compared.ratio is not None

    def look(self, item: pytest.Item, report: pytest.TestReport) -> None:
        super().look(item, report)
        if item.nodeid in self.results:
            try:
                require_kind(self.results[item.nodeid], self.known)  # now, and not after an hour of measuring
            except InputError as problem:
                raise pytest.UsageError(fit(problem)) from None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        try:
            self.compared = compare_all(self.results, self.absent, self.known, self.broken)
        except InputError as problem:
            raise pytest.UsageError(fit(problem)) from None
        self.failed = complaints(self.compared)
        self.others = stored.other_machine(self._machine(), self.known.machine)
        session.config.stash[SLOWER] = [comparison for comparison in self.compared if comparison.failing]
        if self.failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _machine(self) -> Mapping[str, Any]:
        hook: Any = self.config.hook
        machine: dict[str, Any] = hook.pytest_benchmark_generate_machine_info(config=self.config)
        hook.pytest_benchmark_update_machine_info(config=self.config, machine_info=machine)
        return machine

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        tell_heading(terminalreporter, "=", f"throughput against {self.shown}")
        for line in table(self.compared):
            tell(terminalreporter, line)
        if self.again:
            often = f"{len(self.again)} measured again, up to {AGAIN} times"
            tell(
                terminalreporter, f"{often}: they seemed slower or were too noisy, and the lowest upper quartile counts"
            )
        if self.others:
            differences = "; ".join(self.others[:6])
            tell(terminalreporter, f"another machine: {differences}. Compared all the same: each figure is a ratio.")
        if self.known.uncalibrated:
            count = len(self.known.uncalibrated)
            tell(
                terminalreporter, f"not compared, for they state no ratio to a kernel: {count} of the stored benchmarks"
            )
        if self.failed:
            tell(terminalreporter, f"throughput FAILED: {', '.join(self.failed)}", red=True)
        else:
            tell(terminalreporter, "throughput passed: nothing is slower", green=True)
