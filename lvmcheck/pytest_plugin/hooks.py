"""The pytest plugin: hooks of a few lines each.

Nothing heavy is imported until a suite file is collected, so that an installed but unused plugin costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.pytest_plugin.constants import (
    ANSWERS,
    BENCHMARKS,
    CURRENT,
    ENVIRONMENT,
    INI,
    OPTIONS,
    OWED,
    REPORTS,
    SESSION,
    SUITE_FILE,
    VALUES,
    WITNESS,
)
from lvmcheck.pytest_plugin.owed import Owed
from lvmcheck.pytest_plugin.preflight import overfit_batch, preflight, resume_equal, same_trajectory  # noqa: F401
from lvmcheck.pytest_plugin.ranks import ranks  # noqa: F401
from lvmcheck.pytest_plugin.step_benchmark import step_benchmark, use_our_clock  # noqa: F401
from lvmcheck.text.fit import fit


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lvmcheck", "lvmcheck: training runs as tests")
    for flag, settings in OPTIONS.items():
        group.addoption(flag, **settings)
    for flag in INI:
        parser.addini(flag[2:].replace("-", "_"), f"default of {flag}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    from lvmcheck.pytest_plugin import exit_guard

    given = early_config.invocation_params.args
    ours = exit_guard.is_command(given) and exit_guard.concerned(early_config.rootpath, given)
    if ours and exit_guard.can_fork():
        early_config.stash[WITNESS] = exit_guard.guarded(early_config.rootpath)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    status = yield
    if WITNESS in config.stash:
        config.stash[WITNESS].say(int(status) if isinstance(status, int) else 0)
    return status


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ENVIRONMENT] = dict(os.environ)
    config.stash[OWED] = Owed(config)
    config.pluginmanager.register(config.stash[OWED])  # without a name, "-p no:NAME" cannot block it
    config.addinivalue_line("markers", "lvm(seed): set by lvmcheck on the items of a suite file")
    if os.environ.get("GITHUB_ACTIONS") or any(config.getoption(f"lvm_{kind}") is not None for kind in REPORTS):
        from lvmcheck.pytest_plugin.report import start

        start(config)
    if any(config.getoption(name, None) is not None for name in BENCHMARKS):
        from lvmcheck.pytest_plugin import throughput

        throughput.start(config)
    if config.getoption("lvm_report") is not None:
        from lvmcheck.pytest_plugin import html

        html.start(config)
    if config.getoption("lvm_alert"):
        from lvmcheck.pytest_plugin import alerts

        alerts.start(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    config = session.config
    given = any(config.getoption(flag[2:].replace("-", "_")) not in (None, False) for flag in OPTIONS)
    if given or any(config.getini(flag[2:].replace("-", "_")) for flag in INI):
        from lvmcheck.pytest_plugin.options import usable_options

        usable_options(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name != SUITE_FILE:
        return None
    from lvmcheck.pytest_plugin.items import SuiteFile

    return SuiteFile.from_parent(parent, path=file_path)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    place = collector.path / SUITE_FILE
    # pytest passes over a link to nothing, a pipe and a folder, and the session would be green without the suite.
    if isinstance(collector, pytest.Directory) and os.path.lexists(place) and not place.is_file():
        report.outcome, report.longrepr = "failed", fit(f"{place}: expected a file, as every suite is one")
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "run" in metafunc.fixturenames and (metafunc.definition.path.parent / SUITE_FILE).is_file():
        from lvmcheck.pytest_plugin.fixture import parametrize_run

        parametrize_run(metafunc)


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Any:
    """The finished run of the suite file beside the test, once per seed (an :class:`lvmcheck.Run`)."""
    from lvmcheck.pytest_plugin.fixture import finished_run

    return finished_run(request)


@pytest.fixture(scope="session")
def training(pytestconfig: pytest.Config) -> Any:
    """Trains: ``training("package.module:function", {"lr": 1e-3}, seeds=[0, 1, 2])``, once per key."""
    from lvmcheck.pytest_plugin.training.fixture import Training

    return Training(pytestconfig)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    if not any(type(side).__module__ == VALUES for side in (left, right)):
        return None
    from lvmcheck.pytest_plugin.training.values import explain

    return explain(op, left, right)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    use_our_clock(config, items)
    if SESSION in config.stash:
        config.stash[SESSION].order(items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if SESSION in session.config.stash:
        session.config.stash[SESSION].register(session.items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    if SESSION in session.config.stash:
        if session.config.pluginmanager.hasplugin("pytester"):
            _import_all()
        session.config.stash[SESSION].begin(session.config.option)


def _import_all() -> None:
    """Imports every check and cause before the launcher's thread does.

    An inner session of pytester puts ``sys.modules`` back when it ends: an import that another thread has begun
    meanwhile loses its module.
    """
    from lvmcheck.causes.protocol import cause_names, load_cause
    from lvmcheck.checks.protocol import check_names, load_check

    for name in check_names():
        load_check(name)
    for name in cause_names():
        load_cause(name)


def pytest_report_collectionfinish(config: pytest.Config) -> Any:
    shown = SESSION in config.stash and config.get_verbosity() >= 0
    return config.stash[SESSION].header() if shown else []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.config.stash[CURRENT] = item
    if SESSION in item.config.stash and not item.config.getoption("setuponly", False):
        item.config.stash[SESSION].wait_for(item)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    stash = item.config.stash
    if SESSION in stash:
        stash[SESSION].unasked.clear()
    yield
    for trained in stash[SESSION].unasked if SESSION in stash else ():
        trained.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if ANSWERS in item.stash and call.when == "call":
        from lvmcheck.pytest_plugin.training.answers import report as told

        told(item, call, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> Any:
    if report.when != "call" or hasattr(report, "wasxfail") or not getattr(report, "user_properties", None):
        return None
    if report.outcome not in ("passed", "failed", "skipped"):
        return None  # another plugin's, such as "rerun"
    from lvmcheck.pytest_plugin.summary import status_word

    return status_word(report, verbose=config.get_verbosity() > 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if SESSION in config.stash or config.pluginmanager.hasplugin("dsession"):  # with xdist, workers hold the sessions
        from lvmcheck.pytest_plugin.summary import summary

        summary(terminalreporter, config)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if SESSION in session.config.stash:
        session.config.stash[SESSION].close(interrupted=exitstatus == pytest.ExitCode.INTERRUPTED)
