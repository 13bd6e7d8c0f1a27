"""Asks checks about runs."""

from __future__ import annotations

from typing import Any

from lvmcheck.checks.finding import Outcome
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.checks.wording import evidence_lines, outcome_text
from lvmcheck.run.view import Run


def answer(check: str, run: Run, **keys: Any) -> Outcome:
    return judge(load_check(check)(**keys), run)


def text(outcome: Outcome) -> str:
    """The answer in words, for the message of a failed assertion."""
    return " | ".join((str(outcome.status), outcome_text(outcome), *evidence_lines(outcome.finding)))
