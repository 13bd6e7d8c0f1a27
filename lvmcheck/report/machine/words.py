"""Words and counts of a session that all renderers share."""

from __future__ import annotations

from collections import Counter

from lvmcheck.checks.wording import plural
from lvmcheck.report.machine.session import CheckReport, RunReport, SessionReport, SuiteReport
from lvmcheck.report.progress import duration
from lvmcheck.report.verdicts import bad, kind, unreached

GOOD = ("passed", "expected", "warning")
"""Kinds that count as passed."""


def is_bad(check: CheckReport) -> bool:
    """Failed, or could not be judged, or pytest disagrees; not what another check's failure left open."""
    return not unreached(check.verdict) and (bad(check.verdict) or check.pytest == "failed")


def counts(suite: SuiteReport) -> Counter[str]:
    """Checks of each kind (:data:`lvmcheck.report.verdicts.KINDS`)."""
    return Counter(kind(check.verdict) for check in suite.checks)


def headline(report: SessionReport) -> str:
    """``2 of 105 checks failed``."""
    checks = [check for suite in report.suites for check in suite.checks]
    number = Counter(kind(check.verdict) for check in checks)
    passed = sum(number[name] for name in GOOD)
    failed, all_ = sum(map(is_bad, checks)), plural(len(checks), "check")
    warned = f", {plural(number['warning'], 'warning')}" if number["warning"] else ""
    if report.status not in ("passed", "failed"):
        return f"{report.status}: {passed} of {all_} passed{warned}"
    if failed or number["unreached"]:
        return f"{failed} of {all_} failed" + (f", {number['unreached']} not reached" if number["unreached"] else "")
    if report.status == "failed":
        return f"{passed} of {all_} passed, and something else failed"
    return f"{passed} of {all_} passed{warned}" + (f", {number['not-run']} not run" if number["not-run"] else "")


def run_words(run: RunReport) -> str:
    """``finished at epoch 10 of 10, trained here``."""
    how = "trained here" if run.own else f"reused, trained {run.reused} UTC" if run.reused else "not trained"
    return f"{run.ended or run.status}, {how}"


def about(report: SessionReport) -> str:
    """``2 suites · 3 runs · 3 min 02 s``."""
    runs = sum(len(suite.runs) for suite in report.suites)
    return " · ".join([plural(len(report.suites), "suite"), plural(runs, "run"), duration(report.seconds)])
