"""A second judge, written from the manual of four checks and not from their code: passed, failed, or open.

Open is everything that is neither: not reached yet, never recorded, or not answerable. What a run that is over did not
reach has failed ("not reached").
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PASSED, FAILED, OPEN = "passed", "failed", "open"
ODD = (math.nan, math.inf, -math.inf, None)
CEILING, GAIN = 0.995, 0.005
"""A score within 0.005 of 1 is at its ceiling; a gain of 0.005 is one (manual of improves)."""


@dataclass(frozen=True)
class History:
    """What happened: the value of the metric after each epoch (None where it was not recorded), in a plan of epochs.

    Args:
        ended: the run is over. losses: of single steps, two in each epoch.
    """

    values: tuple[float | None, ...]
    planned: int
    ended: bool
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Question:
    """A check by its name in a suite, with its keys."""

    check: str
    keys: dict[str, Any]


def history(chance: random.Random) -> History:
    planned = chance.randint(1, 6)
    reached = chance.randint(0, planned)
    odd = chance.choice((0.0, 0.0, 0.15))
    values = tuple(chance.choice(ODD) if chance.random() < odd else chance.uniform(-1, 1) for _ in range(reached))
    losses = tuple(chance.choice(ODD[:3]) if chance.random() < odd / 8 else chance.random() for _ in range(2 * reached))
    return History(values, planned, chance.random() < 0.5, losses)


def question(chance: random.Random, planned: int) -> Question:
    epoch: int | str = chance.choice([*range(1, planned + 1), "final"])
    bound = chance.choice((chance.uniform(-1, 1), chance.choice((0.0, 0.5))))
    match chance.choice(("floor", "best", "range", "every", "improves", "finite")):
        case "floor":
            return Question("cosine_floor", {"metric": "val_cosine", "epoch": epoch, "floor": bound})
        case "best":
            return Question("cosine_floor", {"metric": "val_cosine", "epoch": "best", "floor": bound})
        case "range":
            keys = chance.choice(({"at_least": bound}, {"at_most": bound}, {"at_least": bound, "at_most": bound + 0.3}))
            return Question("metric", {"metric": "figure", "epoch": epoch, **keys})
        case "every":
            return Question("metric", {"metric": "figure", "epoch": "every", "at_least": bound - 0.6})
        case "improves":
            return Question("improves", {"metric": "val_cosine", "by_epoch": chance.randint(2, max(2, planned))})
        case _:
            return Question("finite", {})


def answer(asked: Question, seen: History) -> str | None:
    """What the manual says; None where it leaves the case open to either answer."""
    values, keys = seen.values, asked.keys
    whole = len(values) == seen.planned
    if asked.check == "finite":
        return _finite(seen, whole=whole)
    if asked.check == "improves":
        return _improves(values, keys["by_epoch"], ended=seen.ended, whole=whole)
    later = FAILED if seen.ended else OPEN
    low, high = keys.get("floor", keys.get("at_least", -math.inf)), keys.get("at_most", math.inf)
    if keys["epoch"] == "best":
        if odd(values):
            return None
        if any(value is not None and value >= low for value in values):
            return PASSED
        measured = any(value is not None for value in values)
        if not whole:
            return later if measured or not seen.ended or not values else None  # or never recorded
        return (FAILED if measured else OPEN) if seen.ended else None
    if keys["epoch"] == "every":
        if None in values:
            return None
        if any(not keeps(value, low, high) for value in values):
            return FAILED
        return (PASSED if seen.ended else None) if whole else later
    at = seen.planned if keys["epoch"] == "final" else keys["epoch"]
    if len(values) < at:
        return None if seen.ended and not any(value is not None for value in values) else later  # or never recorded
    if (value := values[at - 1]) is None:
        return OPEN
    return PASSED if keeps(value, low, high) else FAILED


def odd(values: Sequence[float | None]) -> bool:
    return any(value is not None and not math.isfinite(value) for value in values)


def keeps(value: float | None, low: float, high: float) -> bool:
    """NaN and infinities keep nothing."""
    return value is not None and math.isfinite(value) and low <= value <= high


def _improves(values: Sequence[float | None], by: int, *, ended: bool, whole: bool) -> str | None:
    if any(value is None or not math.isfinite(value) for value in values):
        return None
    known = [value for value in values[:by] if value is not None]
    if len(known) == 1 and by > 1:
        return None if not ended else FAILED if not whole and known[0] < CEILING else None
    if known and (max(known[1:], default=-1.0) >= CEILING or max(known) - known[0] >= GAIN):
        return PASSED
    if known and known[0] >= CEILING:
        return None  # it began there, and fell
    return FAILED if len(values) >= by or (ended and not whole) else None if whole else OPEN


def _finite(seen: History, *, whole: bool) -> str | None:
    if any(not math.isfinite(loss) for loss in seen.losses):
        return FAILED
    if any(value is None or not math.isfinite(value) for value in seen.values):
        return None  # a metric may be undefined for a while
    return (PASSED if seen.losses else OPEN) if seen.ended and whole else None
