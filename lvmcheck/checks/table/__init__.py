"""Checks of rows and labels: what ``rec.table`` measured before training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvmcheck.checks.finding import Outcome, not_applicable

if TYPE_CHECKING:
    from lvmcheck.run.view import Run

PREFIX = "table."
"""Of the names of its facts."""


def lacking(run: Run) -> Outcome | None:
    """What every check of this subject answers on an ended run whose rows were never measured."""
    return unmeasured() if run.over and not any(name.startswith(PREFIX) for name in run.facts) else None


def unmeasured() -> Outcome:
    return not_applicable("no rows and labels were measured (rec.table)")
