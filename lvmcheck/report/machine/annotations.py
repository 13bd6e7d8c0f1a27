"""Failures as GitHub annotations on the line of the suite file that asks for the check (workflow commands)."""

from __future__ import annotations

from collections.abc import Iterable

from lvmcheck.causes.wording import STANDINGS
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.wording import evidence_lines
from lvmcheck.report.machine.session import CauseReport, SessionReport, SuiteReport
from lvmcheck.report.machine.words import is_bad
from lvmcheck.report.verdicts import message, seed_text
from lvmcheck.text.fit import clean, one_line

MOST = 10
"""GitHub shows no more errors of one step."""
LONGEST = 4000
"""Characters of a message."""


def workflow_commands(report: SessionReport) -> list[str]:
    """One line each; the last says how many more there are."""
    checks = [(suite, check) for suite in report.suites for check in suite.checks]
    bad = [(suite, check) for suite, check in checks if is_bad(check)]
    shown = bad if len(bad) <= MOST else bad[: MOST - 1]
    lines = [_of_check("error", suite, check.verdict) for suite, check in shown]
    if len(shown) < len(bad):
        lines.append(command("error", {"title": "lvmcheck"}, f"{len(bad) - len(shown)} more checks failed"))
    warned = [(suite, check.verdict) for suite, check in checks if check.verdict.status is Status.WARNING]
    return [*lines, *(_of_check("warning", suite, verdict) for suite, verdict in warned[:MOST])]


def _of_check(name: str, suite: SuiteReport, verdict: Verdict) -> str:
    location = {
        "file": suite.file,
        "line": str(verdict.asked.line or 1) if verdict.asked else "1",
        "title": f"{suite.name} ({suite.profile}) {seed_text(verdict.seed)}: {verdict.name}",
    }
    lines = [message(verdict), *evidence_lines(verdict.finding), *_cause(suite.causes, verdict.seed)]
    return command(name, location, "\n".join(lines))


def _cause(causes: Iterable[CauseReport], seed: int | str | None) -> list[str]:
    first = next((cause for cause in causes if cause.seed == seed), None)
    if first is None:
        return []
    said = f"{STANDINGS[first.diagnosis.standing]}: {first.message}"
    return [one_line(said), one_line(f"fix: {first.diagnosis.fix}")]


def command(name: str, properties: dict[str, str], message: str) -> str:
    """``::error file=x,line=4::message``, escaped as the runner reads it."""
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {listed}::{_data(message)}"


def _data(text: str) -> str:
    return clean(text, LONGEST).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")
