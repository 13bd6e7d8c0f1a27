"""What a measured value is compared with: floor, ceiling, equality, and the abort bound beyond them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Number = float | int


class BoundKind(StrEnum):
    """How a measured value is compared. ABORT lies beyond the floor or ceiling beside it; crossing it stops the run."""

    FLOOR = "floor"
    CEILING = "ceiling"
    EQUAL = "equal"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Bound:
    """What was required, in full precision.

    Args:
        kind: how the value is compared.
        value: the bound in the unit of the finding.
        source: where it comes from, such as the expression "best_linear + 0.01" or "reference of 5 seeds".
    """

    kind: BoundKind
    value: float | int | str | bool
    source: str = ""


def floor(value: Number, source: str = "") -> Bound:
    return Bound(BoundKind.FLOOR, value, source)


def ceiling(value: Number, source: str = "") -> Bound:
    return Bound(BoundKind.CEILING, value, source)


def abort(value: Number, source: str = "") -> Bound:
    return Bound(BoundKind.ABORT, value, source)


def equal(value: Number | str | bool, source: str = "") -> Bound:
    return Bound(BoundKind.EQUAL, value, source)


def band(low: Number, high: Number, source: str = "") -> tuple[Bound, Bound]:
    return floor(low, source), ceiling(high, source)
