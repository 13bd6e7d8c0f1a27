"""Failures as GitLab's code quality report, shown in merge requests on the line of the suite file."""

from __future__ import annotations

import hashlib
import json

from lvmcheck.checks.finding import Status
from lvmcheck.report.machine.session import CheckReport, SessionReport, SuiteReport
from lvmcheck.report.machine.words import is_bad
from lvmcheck.report.verdicts import kind, message, seed_text
from lvmcheck.text.fit import one_line

MINOR = ("unreached", "pending", "not-run", "not-recorded", "warning")
"""Kinds that are reported although nothing failed."""


def code_quality(report: SessionReport) -> str:
    """A JSON array; empty when nothing failed."""
    found = [
        _entry(suite, check)
        for suite in report.suites
        for check in suite.checks
        if is_bad(check) or kind(check.verdict) in MINOR
    ]
    return json.dumps(found, indent=1) + "\n"


def _entry(suite: SuiteReport, check: CheckReport) -> dict[str, object]:
    verdict = check.verdict
    who = f"{suite.file} {suite.profile} {seed_text(verdict.seed)} {verdict.name}"
    return {
        "description": one_line(f"{seed_text(verdict.seed)} {verdict.name}: {message(verdict)}"),
        "check_name": f"lvmcheck.{verdict.check}",
        "fingerprint": hashlib.sha256(who.encode(errors="backslashreplace")).hexdigest(),
        "severity": severity(check),
        "location": {"path": suite.file, "lines": {"begin": (verdict.asked.line or 1) if verdict.asked else 1}},
    }


def severity(check: CheckReport) -> str:
    """In GitLab's words."""
    if check.verdict.status is Status.WARNING:
        return "info"
    if not is_bad(check):
        return "minor"
    return "critical" if check.verdict.status is Status.ERROR or check.verdict.outcome.abort else "major"
