"""The course of a run's train loss by stage and epoch, in levels that one batch cannot move."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

BLOCKS = 4
"""Parts of an epoch whose medians are its levels."""
LEAST = 2
"""Windows of the smallest part."""


@dataclass(frozen=True)
class Course:
    """An epoch that has ended: ``levels`` are medians of consecutive parts of its windows, in order.

    ``noise`` is the standard error of a level, from the differences of neighbouring windows; 0 where an epoch has one
    level. ``peak`` is the highest window of the first part less what noise makes of it, ``step`` the last step.
    """

    epoch: int
    step: int | None
    levels: tuple[float, ...]
    noise: float
    peak: float

    @property
    def last(self) -> float:
        return self.levels[-1]


@dataclass(frozen=True)
class Leg:
    """A stage of a curriculum, or the whole run where it has none; ``over`` when no further epoch belongs to it."""

    name: str
    over: bool
    courses: list[Course] = field(default_factory=list)


def legs(run: Run, over: bool) -> list[Leg]:
    """Stages of the run with their epochs that have ended; ``over``: no further epoch will come."""
    stages = run.of(ev.Stage)
    firsts = [stage.epoch for stage in stages] or [1]
    names = [stage.name for stage in stages] or ["the run"]
    found = [Leg(name, over or i + 1 < len(names)) for i, name in enumerate(names)]
    losses: dict[int, list[float]] = {}
    steps: dict[int, int] = {}
    for window in run.windows:
        losses.setdefault(window.epoch, []).append(window.loss_mean)
        steps[window.epoch] = window.last_step
    for event in run.of(ev.Epoch):
        place = max((i for i, first in enumerate(firsts) if first <= event.epoch), default=0)
        values = losses.get(event.epoch) or ([event.metrics["train_loss"]] if "train_loss" in event.metrics else [])
        if values:
            found[place].courses.append(course(event.epoch, steps.get(event.epoch), values))
    return found


def course(epoch: int, step: int | None, values: Sequence[float]) -> Course:
    """The levels of an epoch with these window means, at least one."""
    if any(map(math.isnan, values)):
        return Course(epoch, step, (math.nan,), 0.0, math.nan)
    size = max(len(values) // BLOCKS, LEAST)
    if len(values) < 2 * size:
        return Course(epoch, step, (statistics.fmean(values),), 0.0, max(values))
    cuts = [*range(0, len(values) - size + 1, size)]
    cuts = cuts[: len(values) // size]
    parts = [values[cut : cut + size] for cut in cuts[:-1]] + [values[cuts[-1] :]]
    apart = [abs(b - a) for a, b in pairwise(values)]
    spread = statistics.median(apart) / 0.954  # median of |difference of two normal deviates| is 0.954 sigma
    levels = tuple(map(statistics.median, parts))
    # The highest of n windows stands sqrt(2 ln n) deviations above their level by noise alone.
    peak = max(levels[0], max(parts[0]) - math.sqrt(2 * math.log(len(parts[0]))) * spread)
    return Course(epoch, step, levels, 1.2533 * spread / math.sqrt(size), peak)
