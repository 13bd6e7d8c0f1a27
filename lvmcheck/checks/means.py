"""One number a seed compared with a bound, as a Python test asks: of the mean, its interval, or the worst seed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from enum import StrEnum

from lvmcheck.checks.bounds import Bound, BoundKind
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed
from lvmcheck.errors import BadValueError
from lvmcheck.statistics.seeds import sample

Number = float | int


class Figure(StrEnum):
    """What of several seeds is compared: the mean, an end of its 95 % interval, or the lowest or highest seed."""

    MEAN = "mean"
    LOW = "low"
    HIGH = "high"
    LOWEST = "lowest"
    HIGHEST = "highest"


_OPERATORS: Mapping[str, tuple[Callable[[float, float], bool], BoundKind, str]] = {
    ">=": (operator.ge, BoundKind.FLOOR, ""),
    ">": (operator.gt, BoundKind.FLOOR, "must be above"),
    "<=": (operator.le, BoundKind.CEILING, ""),
    "<": (operator.lt, BoundKind.CEILING, "must be below"),
    "==": (operator.eq, BoundKind.EQUAL, ""),
}
_PHRASES = {
    Figure.MEAN: "mean {metric} of {seeds} {measured}",
    Figure.LOW: "lower end of the 95 % interval of the mean {metric} of {seeds} {measured}",
    Figure.HIGH: "upper end of the 95 % interval of the mean {metric} of {seeds} {measured}",
    Figure.LOWEST: "lowest {metric} of {seeds} {measured}",
    Figure.HIGHEST: "highest {metric} of {seeds} {measured}",
}
OPERATORS = (*_OPERATORS, "!=")


def number_of(figure: Figure, values: Mapping[int, float]) -> float:
    """The figure of one number a seed; NaN where one of them is, and for the interval of a single seed."""
    numbers = list(values.values())
    if any(map(math.isnan, numbers)):
        return math.nan
    drawn = sample(numbers)
    ends = {Figure.LOW: drawn.low, Figure.HIGH: drawn.high} if drawn.n > 1 else {}
    known = {Figure.MEAN: drawn.mean, Figure.LOWEST: min(numbers), Figure.HIGHEST: max(numbers), **ends}
    return known.get(figure, math.nan)


def seeds_compared(
    metric: str, values: Mapping[int, float], op: str, bound: Number, *, figure: Figure, epochs: Mapping[int, int]
) -> Outcome:
    """Whether the figure of one number a seed keeps its bound; NaN fails.

    Args:
        values: seed -> number.
        op: one of :data:`OPERATORS`; "!=" is refused.
        epochs: seed -> the epoch at which it was measured.

    Raises:
        BadValueError: a comparison that says nothing of a measurement.
    """
    if op not in _OPERATORS:
        raise BadValueError(op, "expected <, <=, >, >= or ==, for two measurements nearly always differ")
    if math.isnan(bound):
        raise BadValueError(op, "expected a number as the bound, got NaN")
    compares, kind, strictly = _OPERATORS[op]
    measured, several, places = number_of(figure, values), len(values) > 1, set(epochs.values())
    finding = Finding(
        code=f"{figure}_over_seeds" if several else "value",
        metric=metric,
        measured=measured,
        bounds=(Bound(kind, bound, strictly),),
        epoch=places.pop() if len(places) == 1 else None,
        evidence=(Fact("seeds", len(values), "seeds"), *_spread(values), *_each(values, epochs)) if several else (),
        phrase=_PHRASES[figure] if several else "",
    )
    kept = not math.isnan(measured) and compares(measured, bound)
    return (passed if kept else failed)(finding, evaluated=len(values))


def _spread(values: Mapping[int, float]) -> tuple[Fact, ...]:
    drawn = sample(list(values.values()))
    if not math.isfinite(drawn.low):
        return ()
    interval = (Fact("interval_95_low", drawn.low), Fact("interval_95_high", drawn.high))
    return (Fact("mean", drawn.mean), Fact("standard_deviation", drawn.sd), *interval)


def _each(values: Mapping[int, float], epochs: Mapping[int, int]) -> tuple[Fact, ...]:
    return tuple(Fact(f"seed{seed}", value, epoch=epochs.get(seed)) for seed, value in values.items())
