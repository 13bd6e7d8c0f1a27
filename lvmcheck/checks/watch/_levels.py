"""The level at which the recorded training loss of a watched run ends."""

from __future__ import annotations

import math

import numpy as np

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
