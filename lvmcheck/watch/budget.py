"""When to measure: the first steps one by one, then as rarely as keeps the cost within a share of the time of steps."""

from __future__ import annotations

import math
import statistics
from collections import deque
from typing import Literal

Every = int | Literal["auto"]
FIRST = 8
"""Steps at the start that are all measured: most silent errors show there."""
SHARE = 0.012
"""Share of the time of steps that measuring may take; the hooks that see every step take the rest of 2 %."""
SECOND, EARLY, PART = 48, 400, 8
"""Steps of which at least every second is measured, then those that are at least an eighth apart, whatever it costs."""
GIVEN = 0.05
"""Seconds beyond its share that measuring may have taken before later steps have to make up for the first ones."""
SPREAD = 500
"""Samples after which the interval grows with the run, so that a long one records no more than a few thousand."""
DENSE, RARE = 24, 4
"""Samples of which each asks what hardly changes in a run, and of how many later ones one does."""


def rests(sample: int) -> bool:
    """Whether that sample (from 1) leaves out what hardly changes: which loss it is, which column is the target."""
    return sample > DENSE and sample % RARE != 0


def joint(step: int) -> bool:
    """Whether every rank measures that step: 1, 2, 5, 10, 20, 50, ..."""
    text = str(step)
    return text[0] in "125" and not text[1:].strip("0")


class Budget:
    """Decides which steps are measured, from what measuring and steps have cost so far."""

    def __init__(self, every: Every) -> None:
        self.every = every
        self._costs: deque[float] = deque(maxlen=5)
        self._steps: deque[float] = deque(maxlen=15)
        self._spent = self._trained = 0.0
        self._next = 1

    def due(self, step: int) -> bool:
        """Whether that optimizer step (from 1) is measured."""
        return step >= self._next or (self.every == "auto" and joint(step))

    def step_took(self, seconds: float) -> None:
        """A step that was not measured took so long."""
        self._steps.append(seconds)
        self._trained += seconds

    def sample_took(self, step: int, seconds: float, whole: float = 0.0) -> None:
        """Measuring that step cost so much.

        Args:
            whole: how long the measured step took; what it took more than others was spent in hooks of modules and of
                gradients, whose own time is not taken.
        """
        usual = statistics.median(self._steps) if self._steps else whole
        self._costs.append(max(seconds, whole - usual))
        self._spent += max(seconds, statistics.median(self._costs))  # an evaluation in between is none of its cost
        self._trained += max(0.0, min(usual, whole - seconds))
        self._next = step + self._interval(step)

    def _interval(self, step: int) -> int:
        if isinstance(self.every, int):
            return self.every
        if step < FIRST:
            return 1
        dense = 2 if step < SECOND else step // PART
        if not self._steps:
            return dense
        cost, whole = statistics.median(self._costs), max(statistics.median(self._steps), 1e-7)
        steady = max(1, math.ceil(cost / (SHARE * whole)), step // SPREAD)
        if step < EARLY:
            return min(steady, dense)
        debt = cost + self._spent - GIVEN - SHARE * self._trained
        interval = min(max(steady, math.ceil(debt / (SHARE * whole))), 4 * steady)
        return interval + (step * 7) % (interval // 4 + 1)  # not in step with epochs
