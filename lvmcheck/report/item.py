"""What the item of a check reports beside its verdict, as plain values: xdist takes nothing else to other processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from lvmcheck.checks.finding import Scalar, Status, Verdict, Why
from lvmcheck.checks.verdict_json import from_json, plain_json
from lvmcheck.report.verdicts import message, required_text

PROPERTY = "lvm"
"""Name of the user property that holds it."""
TRAINED = "lvm_trained"
"""Name of the user property that holds those of a Python test, as a list."""
_READ: WeakKeyDictionary[Any, ItemReport | None] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class ItemReport:
    """One item of a suite.

    Args:
        suite, profile, file: of the suite, as its items name it.
        run: directory of its run, relative to where pytest was started.
        ended: how and where the run ended; None while it goes on.
        reused: when the run was trained, where this session did not train it.
        show_when_passed: its evidence is shown in the summary even when it passed.
    """

    verdict: Verdict
    suite: str
    profile: str
    file: str
    run: str | None = None
    ended: str | None = None
    reused: str | None = None
    show_when_passed: bool = False


def properties(item: ItemReport) -> Iterator[tuple[str, object]]:
    """User properties of a test report: the whole, and the figures that a JUnit file shows."""
    verdict = item.verdict
    yield PROPERTY, plain_json(item)
    finding = verdict.finding
    shown: dict[str, Scalar] = {"seed": verdict.seed, "status": verdict.status.value, "message": message(verdict)}
    if finding is not None:
        shown |= {"epoch": finding.epoch, "measured": finding.measured, "required": required_text(verdict) or None}
    yield from ((name, plain_json(value)) for name, value in shown.items() if value is not None)


def item_report(report: Any) -> ItemReport | None:
    """What a suite item reported of itself; None for any other test."""
    if report not in _READ:
        body = next((value for name, value in getattr(report, "user_properties", ()) if name == PROPERTY), None)
        _READ[report] = None if body is None else from_json(ItemReport, body, str(report.nodeid))
    return _READ[report]


def good(verdict: Verdict) -> bool:
    """Whether a session may be green with it."""
    known = (Status.PASSED, Status.WARNING, Status.NOT_APPLICABLE)
    return verdict.status in known or verdict.outcome.why is Why.NOT_IN_FORMAT


def trained_reports(report: Any) -> list[ItemReport]:
    """What the trainings of a Python test were found to be; empty for any other test."""
    found = next((value for name, value in getattr(report, "user_properties", ()) if name == TRAINED), ())
    return [from_json(ItemReport, body, str(report.nodeid)) for body in found]
