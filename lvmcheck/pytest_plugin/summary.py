"""What pytest prints for suite items: a word with the finding after each, and the verdicts of each suite at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lvmcheck.checks.finding import Status
from lvmcheck.pytest_plugin.constants import SESSION
from lvmcheck.pytest_plugin.pytest_api import line_width, tell, tell_heading
from lvmcheck.report.item import ItemReport, item_report, trained_reports
from lvmcheck.report.terminal import summary_lines
from lvmcheck.report.verdicts import message, unreached
from lvmcheck.report.width import wrapped
from lvmcheck.text.fit import fit_line

UNREACHED = "not reached"
"""Category of items that a stopped run left open: still failures to pytest, without a section each."""
COLOURS = {"passed": {"green": True}, "failed": {"red": True}, "skipped": {"yellow": True}}
LETTERS = {"passed": ".", "failed": "F", "skipped": "s"}


def status_word(report: Any, *, verbose: bool) -> tuple[str, str, Any] | None:
    """Category, letter, and in verbose mode the word with the finding; None for what is no check of a suite."""
    item = item_report(report)
    if item is None or report.when == "teardown":  # how a run ended after its checks had been answered
        return None
    verdict, outcome = item.verdict, report.outcome
    if outcome == "failed" and unreached(verdict):
        return UNREACHED, "n", (UNREACHED.upper(), {"yellow": True})  # its own section would only repeat the reason
    if outcome == "passed" and verdict.status is Status.WARNING:
        return outcome, "w", (f"WARNING  {fit_line(message(verdict))}" if verbose else "WARNING", {"yellow": True})
    text = fit_line(message(verdict))
    if outcome == "skipped":
        text = f"{verdict.status.value}: {text}"
    elif verdict.expected_failure:
        text = f"failed as expected: {text}"
    word = outcome.upper() + (f"  {text}" if verbose and outcome != "failed" else "")
    return outcome, LETTERS[outcome], (word, COLOURS[outcome])


def summary(reporter: Any, config: pytest.Config) -> None:
    """The verdicts of each suite, and the references that this session writes."""
    width = line_width(config.get_terminal_writer())
    items = list(_items(reporter, trained=config.get_verbosity() > 0)) if config.get_verbosity() >= -1 else []
    for suite in dict.fromkeys((item.suite, item.profile, item.file) for item in items):
        own = [item for item in items if (item.suite, item.profile, item.file) == suite]
        tell_heading(reporter, "-", f"verdicts of {suite[0]} ({suite[1]})")
        for line in summary_lines(own, width):
            for part in wrapped(line, width):
                tell(reporter, part)
    if SESSION in config.stash:
        for line in config.stash[SESSION].references():
            tell(reporter, line)


def _items(reporter: Any, *, trained: bool) -> Iterator[ItemReport]:
    """What items report of themselves; of the trainings of Python tests only where ``trained`` is true."""
    for category in ("passed", "failed", "skipped", "error", UNREACHED):
        for report in reporter.stats.get(category, ()):
            if getattr(report, "when", "") != "call":
                continue
            if (item := item_report(report)) is not None:
                yield item
            yield from trained_reports(report) if trained else ()
