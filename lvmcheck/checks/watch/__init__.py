"""Checks of a training loop from inside: what ``rec.watch`` measured at sampled steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvmcheck.checks.finding import Outcome, not_recorded
from lvmcheck.run.events import Watch

if TYPE_CHECKING:
    from lvmcheck.run.view import Run


def lacking(run: Run) -> Outcome | None:
    """What every check of this subject answers on an ended run that was never watched."""
    return not_recorded("the loop was not watched (rec.watch)") if run.over and not run.of(Watch) else None
