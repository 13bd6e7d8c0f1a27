"""What every surface shows of a verdict: its kind, mark, words and figures."""

from __future__ import annotations

from lvmcheck.checks.finding import Status, Verdict, Why
from lvmcheck.checks.wording import MARKS, asked_text, bounds_text, outcome_text, scalar

SEEDS = "seeds"
"""Stands in place of a seed where all seeds answer together."""
KINDS = {
    "failed": "failed",
    "error": "could not be judged",
    "unreached": "not reached",
    "warning": "warning",
    "pending": "pending",
    "not-run": "not run",
    "not-recorded": "not recorded",
    "expected": "failed as expected",
    "passed": "passed",
    "not-applicable": "not applicable",
}
"""Every kind of verdict with its words, the bad ones first."""


def kind(verdict: Verdict) -> str:
    """A key of :data:`KINDS`: the status, or one of three that say more."""
    if unreached(verdict):
        return "unreached"
    if verdict.outcome.why is Why.NOT_RUN:
        return "not-run"
    if verdict.expected_failure and verdict.status is Status.PASSED:
        return "expected"
    return verdict.status.value.replace(" ", "-")


def unreached(verdict: Verdict) -> bool:
    """Whether something else ended the run before this could be decided: no failure of its own."""
    return verdict.outcome.why is Why.NOT_REACHED


def bad(verdict: Verdict) -> bool:
    """Whether it failed or could not be judged, and its suite does not expect that."""
    return verdict.status in (Status.FAILED, Status.ERROR) and not unreached(verdict)


def mark(verdict: Verdict) -> str:
    """One character."""
    return "·" if unreached(verdict) else MARKS[verdict.status]


def measured_text(verdict: Verdict) -> str:
    """What was measured, in short; empty where nothing was."""
    finding = verdict.finding
    return "" if finding is None or finding.measured is None else scalar(finding.measured, finding.unit)


def required_text(verdict: Verdict) -> str:
    """The bounds: ``floor 0.48, abort below 0.45``; empty without one."""
    return "" if verdict.finding is None else bounds_text(verdict.finding)


def seed_text(seed: int | str | None) -> str:
    """``seed0``, or ``seeds`` for what all of them answer together."""
    return seed if isinstance(seed, str) else "run" if seed is None else f"seed{seed}"


def by_seed(seed: int | str | None) -> tuple[bool, int]:
    """Sorts seeds in order, then what all of them answer together."""
    return (False, seed) if isinstance(seed, int) else (True, 0)


def asked_line(verdict: Verdict) -> str:
    """``suites/amn_790k/suite.toml:41 (success criteria)``; empty for a universal check."""
    return asked_text(verdict.asked, verdict.source)


def message(verdict: Verdict) -> str:
    """The finding in words, or why there is none."""
    return outcome_text(verdict.outcome)
