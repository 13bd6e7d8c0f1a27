"""The level at which the recorded training loss of a watched run ends, beside what a constant answer gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lvmcheck.checks.finding import Finding, Outcome, failed, passed, pending
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.run.events import Watch
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.view import Run

LEAST = 4
"""Windows of half of the run from which it is judged."""


def recorded_level(run: Run) -> tuple[float, float, float] | None:
    """Mean training loss of the last quarter of the steps, of the quarter before, and the standard error of the first;
    None where it is recorded too coarsely.
    """
    train = run.curves.train
    if train is None or not train.by_step or len(train) < 2 * LEAST:
        return None
    part = train.steps / max(1, int(train.steps[-1]))
    last, before = train.values[part > 0.75], train.values[(part > 0.5) & (part <= 0.75)]
    if not len(last) or not len(before):
        return None
    error = float(np.std(train.values[part > 0.5])) / math.sqrt(len(last))
    return float(np.mean(last)), float(np.mean(before)), error


def beside_recorded(run: Run, events: Sequence[Watch], found: Finding, limit: float) -> Outcome:
    """The answer where a level is too high, unless a loss that is recorded elsewhere, as of validation, is below."""
    known = [loss for loss in run.curves.of(Quantity.LOSS) if len(loss) and float(np.min(loss.values)) < limit]
    below = not found.met and bool(known) and not math.isnan(found.number)
    if below:
        found = replace(found, code="recorded_loss_is_below", bounds=())
    if below or found.met:
        return passed(found, evaluated=len(events)) if complete(run) else pending("the end of the run")
    return failed(found, evaluated=len(events))
