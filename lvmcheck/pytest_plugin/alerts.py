"""``--lvm-alert URL``: a message when the first check of a run fails, and when the session ends.

With xdist the controller sends them, where the items' reports come together.
"""

from __future__ import annotations

import pytest

from lvmcheck.checks.finding import Verdict
from lvmcheck.errors import InputError
from lvmcheck.report.alerts import Alerts
from lvmcheck.report.item import item_report, trained_reports
from lvmcheck.report.verdicts import bad, seed_text
from lvmcheck.text.fit import fit

OPTION = "--lvm-alert"


def start(config: pytest.Config) -> None:
    """Watch this session, unless it is that of an xdist worker.

    Raises:
        pytest.UsageError: apprise is not installed, or takes no such address.
    """
    if hasattr(config, "workerinput") or config.getoption("collectonly", False):
        return
    try:
        alerts = Alerts(config.getoption("lvm_alert"), OPTION)
    except InputError as problem:
        raise pytest.UsageError(fit(problem)) from None
    config.pluginmanager.register(Alerter(alerts), "lvmcheck-alerts")


class Alerter:
    """Sends what the items of suites and trainings say."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        item = item_report(report)
        for one in [item] if item is not None else trained_reports(report):
            run = f"{one.suite} {seed_text(one.verdict.seed)}".strip()
            self._verdicts[run, one.verdict.name] = one.verdict  # a rerun replaces
            if bad(one.verdict) and run not in self._failed:
                self._failed.add(run)
                self._alerts.failed(run, one.verdict)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int | pytest.ExitCode) -> None:
        runs = sorted({run for run, _ in self._verdicts})
        how = f"exit status {int(exitstatus)}"
        self._alerts.ended(f"pytest, {', '.join(runs[:3]) or 'no run'}", how, self._verdicts.values())
