"""Decisions over seeds: does the floor hold for the mean, for all, or for k of n; and is the answer known already?

One run is one draw. Attempts 1 and 3 of the 790k corpus differed by 0.0014 at the end (facts 0.5), so a floor that a
single seed misses by 0.001 says nothing. A decision here is sequential: it is asked again after every seed, and its
error rates hold for the whole sequence of looks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from lvmcheck.statistics.student import t_quantile, upper_tail


class Answer(Enum):
    """What the seeds so far say."""

    YES = "yes"
    NO = "no"
    OPEN = "open"


@dataclass(frozen=True)
class Sample:
    """Numbers of several seeds.

    Attributes:
        n, mean, sd: sd is that of the sample (n - 1) and NaN for one number.
        low, high: confidence interval of the mean; infinite for one number, because one seed shows no spread.
        confidence: of that interval.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    confidence: float

    def sentence(self) -> str:
        """``mean 0.5667 of 3 seeds, 95 % interval 0.5650 to 0.5684``."""
        if self.n < 2:
            return f"{self.mean:.4f} of one seed: one run cannot tell its own spread"
        return (
            f"mean {self.mean:.4f} of {self.n} seeds, spread {self.sd:.4f}, "
            f"{self.confidence:.0%} interval {self.low:.4f} to {self.high:.4f}"
        )


def sample(values: Sequence[float], confidence: float = 0.95) -> Sample:
    """Mean, spread and interval of at least one number."""
    if not values:
        raise ValueError("expected at least one number, got none")
    n, mean = len(values), statistics.fmean(values)
    if n == 1 or not all(map(math.isfinite, values)):
        return Sample(n, mean, math.nan, -math.inf, math.inf, confidence)
    sd = statistics.stdev(values)
    half = t_quantile((1 - confidence) / 2, n - 1) * sd / math.sqrt(n)
    return Sample(n, mean, sd, mean - half, mean + half, confidence)


def chance_mean_below(values: Sequence[float], floor: float) -> float:
    """p-value of "the mean over seeds is at most ``floor``": Student's one-sided test; NaN for fewer than two numbers.

    Small says that the mean is above. Without any spread it is 0, 1 or (on the floor) 0.5.
    """
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    found = sample(values)
    distance = found.mean - floor
    if found.sd == 0.0:
        return 0.5 if distance == 0 else float(distance < 0)
    return upper_tail(distance * math.sqrt(found.n) / found.sd, found.n - 1)


def chance_next_above(values: Sequence[float], floor: float) -> float:
    """Probability that one more seed reaches ``floor``, for normal numbers; NaN for fewer than two numbers."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    found = sample(values)
    if found.sd == 0.0:
        return float(found.mean >= floor)
    return upper_tail((floor - found.mean) / (found.sd * math.sqrt(1 + 1 / found.n)), found.n - 1)


def mean_reaches(values: Sequence[float], floor: float, *, p: float, planned: int, looks: int | None = None) -> Answer:
    """Whether the mean over seeds is above ``floor``, shown at error rate ``p``.

    YES when the test of "at most the floor" is rejected at p / looks, NO when that of "at least the floor" is, or when
    all ``planned`` seeds are in and neither is: what was not shown does not pass. A number that is not finite is a NO.
    Dividing by the number of looks (Bonferroni) keeps the chance of a wrong YES, and of a wrong early NO, at most
    ``p`` over the whole sequence for normal numbers.

    Args:
        planned: seeds at most. looks: how often the question is asked; ``planned - 1`` where None (after each from 2).
    """
    if not all(map(math.isfinite, values)):
        return Answer.NO
    alpha = p / (max(1, planned - 1) if looks is None else looks)
    below = chance_mean_below(values, floor)
    if below < alpha:
        return Answer.YES
    if 1.0 - below < alpha or len(values) >= planned:
        return Answer.NO
    return Answer.OPEN


def enough_pass(results: Sequence[bool], *, needed: int, planned: int) -> Answer:
    """Whether at least ``needed`` of ``planned`` seeds pass; decided as soon as the rest cannot change it."""
    if sum(results) >= needed:
        return Answer.YES
    if len(results) - sum(results) > planned - needed:
        return Answer.NO
    return Answer.OPEN
