"""Failures as GitLab's code quality report, shown in merge requests on the line of the suite file."""

from __future__ import annotations

import hashlib
import json

from lvmcheck.report.machine.session import CheckReport, SessionReport, SuiteReport
from lvmcheck.report.machine.words import is_bad, seed_words, sentence


def code_quality(report: SessionReport) -> str:
    """A JSON array; empty when nothing failed."""
    found = [
        _entry(suite, check)
        for suite in report.suites
        for check in suite.checks
        if is_bad(check) or check.unreached or check.status in ("pending", "not run")
    ]
    return json.dumps(found, indent=1) + "\n"


def _entry(suite: SuiteReport, check: CheckReport) -> dict[str, object]:
    who = f"{suite.file} {suite.profile} {seed_words(check.seed)} {check.check}"
    severity = "minor" if not is_bad(check) else "critical" if check.status == "error" or check.abort else "major"
    return {
        "description": f"{seed_words(check.seed)} {check.check}: {sentence(check)}",
        "check_name": f"lvmcheck.{check.use}",
        "fingerprint": hashlib.sha256(who.encode(errors="backslashreplace")).hexdigest(),
        "severity": severity,
        "location": {"path": suite.file, "lines": {"begin": check.line}},
    }
