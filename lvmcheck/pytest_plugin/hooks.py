"""The pytest plugin: hooks of a few lines; all sense lives in ``lvmcheck.pytest_plugin.items`` and what it stands on.

Nothing heavy is imported until a suite file is collected, so that an installed but unused plugin costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lvmcheck.pytest_plugin.session import LvmSession

    SESSION: pytest.StashKey[LvmSession]
SESSION = pytest.StashKey()

OPTIONS: dict[str, dict[str, Any]] = {
    "--lvm-profile": {"metavar": "NAME", "help": "smoke, ci or full (default: smoke without an accelerator, else ci)"},
    "--lvm-data": {
        "metavar": "PATH",
        "help": "train on these vectors: .npz, .npy, .parquet, .jsonl, a folder, or text",
    },
    "--lvm-data-name": {"metavar": "NAME", "help": "name of --lvm-data; bounds calibrated_on that name then apply"},
    "--lvm-ood": {"metavar": "PATH", "action": "append", "help": "an out-of-distribution set; may be repeated"},
    "--lvm-seeds": {"metavar": "LIST", "help": "seeds to run instead of the suite's, such as 0,1,2"},
    "--lvm-device": {"metavar": "NAME", "help": "auto, cpu, cuda or mps"},
    "--lvm-dir": {"metavar": "PATH", "help": "where runs, caches and locks are kept (default: .lvmcheck)"},
    "--lvm-fresh": {"action": "store_true", "help": "train again even where a finished run could be reused"},
    "--lvm-inprocess": {"action": "store_true", "help": "train inside the pytest process, for debuggers"},
    "--lvm-threads": {"metavar": "N", "type": int, "help": "threads of each run (default: the suite's, else 1)"},
    "--lvm-jobs": {
        "metavar": "N",
        "type": int,
        "help": "trainers at a time (default: cores / threads on a CPU, one on an accelerator)",
    },
    "--lvm-update-reference": {
        "metavar": "REASON",
        "help": "write the reference band of each suite whose every seed passes, with the reason for it",
    },
    "--lvm-throughput-compare": {
        "metavar": "FILE",
        "action": "append",
        "help": "fail where a benchmark is slower than in this document of --benchmark-json; may be repeated",
    },
    "--lvm-report": {"metavar": "FILE", "help": "write runs, verdicts and causes as one HTML file"},
    "--lvm-json": {"metavar": "FILE", "help": "write the report that ci/gate.py reads"},
    "--lvm-markdown": {"metavar": "FILE", "help": "write a comment for a pull request"},
    "--lvm-gitlab": {"metavar": "FILE", "help": "write GitLab's code quality report"},
    "--lvm-openmetrics": {"metavar": "FILE", "help": "write the figures as OpenMetrics text"},
    "--lvm-progress": {"metavar": "HOW", "choices": ("auto", "live", "plain", "off"), "help": "progress of the runs"},
}
BENCHMARKS = ("lvm_throughput_compare", "benchmark_json", "benchmark_save", "benchmark_autosave")
"""Options with which benchmarks are compared or written."""
REPORTS = ("json", "markdown", "gitlab", "openmetrics")
INI: tuple[str, ...] = (
    "--lvm-profile",
    "--lvm-device",
    "--lvm-dir",
    "--lvm-threads",
    "--lvm-jobs",
    "--lvm-progress",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lvmcheck", "lvmcheck: training runs as tests")
    for flag, settings in OPTIONS.items():
        group.addoption(flag, **settings)
    for flag in INI:
        parser.addini(flag[2:].replace("-", "_"), f"default of {flag}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lvm(seed): set by lvmcheck on the items of a suite file")
    if os.environ.get("GITHUB_ACTIONS") or any(config.getoption(f"lvm_{kind}") is not None for kind in REPORTS):
        from lvmcheck.pytest_plugin.report import start

        start(config)
    if any(config.getoption(name, None) is not None for name in BENCHMARKS):
        from lvmcheck.pytest_plugin import throughput as pytest_throughput

        pytest_throughput.start(config)
    if config.getoption("lvm_report") is not None:
        from lvmcheck.pytest_plugin import html as pytest_html

        pytest_html.start(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name != "suite.toml":
        return None
    from lvmcheck.pytest_plugin.items import SuiteFile

    return SuiteFile.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "run" in metafunc.fixturenames and (metafunc.definition.path.parent / "suite.toml").is_file():
        from lvmcheck.pytest_plugin.fixture import asks_ours, parametrize_run

        if asks_ours(metafunc.definition):
            parametrize_run(metafunc)


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Any:
    """The finished run of the suite file beside the test, once per seed (an :class:`lvmcheck.Run`)."""
    from lvmcheck.pytest_plugin.fixture import finished_run

    return finished_run(request)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if SESSION in config.stash:
        config.stash[SESSION].order(items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if SESSION in session.config.stash:
        session.config.stash[SESSION].register(session.items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    if SESSION in session.config.stash:
        session.config.stash[SESSION].begin(session.config.option)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    shown = SESSION in config.stash and config.get_verbosity() >= 0
    return config.stash[SESSION].header() if shown else []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if SESSION in item.config.stash and not item.config.getoption("setuponly", False):
        item.config.stash[SESSION].wait_for(item)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> Any:
    if not isinstance(report, pytest.TestReport) or report.when != "call" or hasattr(report, "wasxfail"):
        return None
    if not any(name == "lvm" for name, _ in report.user_properties):
        return None
    from lvmcheck.report.terminal import status_word

    return status_word(report, config)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    config = terminalreporter.config
    if SESSION in config.stash or config.pluginmanager.hasplugin("dsession"):  # with xdist, workers hold the sessions
        from lvmcheck.report.terminal import summary

        summary(terminalreporter)
    if SESSION in config.stash:
        for line in config.stash[SESSION].references():
            terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if SESSION in session.config.stash:
        session.config.stash[SESSION].close(interrupted=exitstatus == pytest.ExitCode.INTERRUPTED)
