"""Failures as GitHub annotations on the line of the suite file that asks for the check (workflow commands)."""

from __future__ import annotations

from collections.abc import Iterable

from lvmcheck.report.machine.session import CauseReport, CheckReport, SessionReport, SuiteReport
from lvmcheck.report.machine.words import is_bad, seed_words, sentence

MOST = 10
"""GitHub shows no more errors of one step."""
LONGEST = 4000
"""Characters of a message."""


def workflow_commands(report: SessionReport) -> list[str]:
    """One line each; the last says how many more there are."""
    bad = [(suite, check) for suite in report.suites for check in suite.checks if is_bad(check)]
    shown = bad if len(bad) <= MOST else bad[: MOST - 1]
    lines = [_of_check(suite, check) for suite, check in shown]
    if len(shown) < len(bad):
        lines.append(command("error", {"title": "lvmcheck"}, f"{len(bad) - len(shown)} more checks failed"))
    return lines


def _of_check(suite: SuiteReport, check: CheckReport) -> str:
    place = {
        "file": suite.file,
        "line": str(check.line),
        "title": f"{suite.name} ({suite.profile}) {seed_words(check.seed)}: {check.check}",
    }
    lines = [sentence(check), *check.evidence, *_cause(suite.causes, check.seed)]
    return command("error", place, "\n".join(lines)[:LONGEST])


def _cause(causes: Iterable[CauseReport], seed: int | str) -> list[str]:
    first = next((cause for cause in causes if cause.seed == seed), None)
    return [f"likely cause: {first.sentence}", f"fix: {first.fix}"] if first is not None else []


def command(name: str, properties: dict[str, str], message: str) -> str:
    """``::error file=x,line=4::message``, escaped as the runner reads it."""
    said = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {said}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
