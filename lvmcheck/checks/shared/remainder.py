"""What is in a loss and in none of its declared terms: its size, its spread, and what it looks like."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, facts

STEADY = 0.02
"""Relative spread up to which a remainder is called constant."""
EXACT = 0.01
"""Spread of the ratio of a remainder to a term up to which it is a multiple of that term."""
SAME = 1e-4
"""Relative range of a remainder that is one constant, rounded to float32."""
MOVED = 10.0
"""A term must vary this many times more than that ratio, or a constant remainder is a multiple of any constant term."""


@dataclass(frozen=True)
class Entry:
    """A window (with its last step) or an epoch in the ledger.

    ``apart`` is the relative difference of the loss from ``total``, the sum of its weighted terms ``parts``.
    """

    epoch: int
    step: int | None
    apart: float
    loss: float
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        return math.fsum(self.parts.values()) if all(map(math.isfinite, self.parts.values())) else math.nan

    @property
    def rest(self) -> float:
        return self.loss - self.total


def entry(
    epoch: int, step: int | None, loss: float, parts: Mapping[str, float], measured: float | None = None
) -> Entry:
    """An entry of weighted terms ``parts``; ``measured`` is the difference where steps were compared one by one."""
    return Entry(epoch, step, apart(loss, list(parts.values())) if measured is None else measured, loss, parts)


def apart(loss: float, parts: Sequence[float]) -> float:
    """|loss - sum| over the larger of |loss| and the sum of magnitudes; NaN when a number is not finite."""
    if not all(map(math.isfinite, (loss, *parts))):
        return math.nan
    scale = max(abs(loss), math.fsum(map(abs, parts)))
    return abs(loss - math.fsum(parts)) / scale if scale > 0 else 0.0


def describe(entries: Sequence[Entry], cosines: Mapping[int, float], dim: int | None) -> tuple[Fact, ...]:
    """Facts about the remainder; none where a number is not finite.

    Args:
        entries: the ledger.
        cosines: train cosine by epoch, where it is logged.
        dim: dimension of the vectors, where it is known.
    """
    found = [item for item in entries if math.isfinite(item.rest)]
    if not found or any(math.isnan(item.apart) for item in entries):
        return ()
    first, rest = found[0], [item.rest for item in found]
    mean, spread = statistics.fmean(rest), statistics.pstdev(rest)
    constant = len(rest) >= 2 and spread <= STEADY * abs(mean)
    share = 100 * abs(first.rest / first.loss) if first.loss else math.nan
    return (
        Fact("hidden_remainder", mean),
        Fact("share_of_loss", share, "%", epoch=first.epoch),
        *facts(standard_deviation=spread, constant=constant),
        *(_hinge(mean) if constant else _follows_cosine(found, cosines, dim)),
    )


def taken_off(entries: Sequence[Entry]) -> bool:
    """Whether a loss lies below its terms by one constant, which trains nothing: a normaliser, or a lower bound.

    Below, since a hinge that is held at its top is a constant above them.
    """
    moved = max(item.total for item in entries) - min(item.total for item in entries)
    return len(entries) > 1 and below(entries) and moved > SAME * abs(entries[0].rest)


def below(entries: Sequence[Entry]) -> bool:
    """Whether a loss lies below its terms by the same in every entry."""
    rest = [item.rest for item in entries]
    if not all(map(math.isfinite, rest)):
        return False
    return max(rest) < 0 and max(rest) - min(rest) <= SAME * abs(rest[0])


def _hinge(mean: float) -> tuple[Fact, ...]:
    """The variance hinge mean_d relu(1 - std_d) of unit vectors cannot leave [1 - 1/sqrt(D), 1]."""
    weight = float(f"{mean:.0e}") if mean > 0 else 0.0
    fits = weight and 0.95 * weight <= mean <= 0.9999 * weight
    return (Fact("variance_hinge_weight", weight),) if fits else ()


def _follows_cosine(found: Sequence[Entry], cosines: Mapping[int, float], dim: int | None) -> tuple[Fact, ...]:
    """An MSE of unit vectors is 2 (1 - cosine) / D."""
    ratios = [item.rest / (1 - cosines[item.epoch]) for item in found if cosines.get(item.epoch, 1.0) < 1]
    if len(ratios) < 3 or found[0].step is not None:  # epochs have a cosine of their own, windows do not
        return ()
    mean = statistics.fmean(ratios)
    if not statistics.pstdev(ratios) <= 0.01 * abs(mean):
        return ()
    return facts({"times_1_minus_train_cosine": mean, **({"mse_weight": mean * dim / 2} if dim else {})})


def misweighted(entries: Sequence[Entry]) -> tuple[str, float] | None:
    """A declared term that explains the remainder by another weight, and by what its weight is multiplied (0: absent).

    None where the remainder is no multiple of one term.
    """
    names = [name for name in entries[0].parts if all(item.parts.get(name) for item in entries)] if entries else []
    found = {name: times for name in names if (times := _times(entries, name)) is not None}
    return next(iter(found.items())) if len(found) == 1 else None


def _times(entries: Sequence[Entry], name: str) -> float | None:
    parts = [item.parts[name] for item in entries]
    ratios = [1 + item.rest / part for item, part in zip(entries, parts, strict=True)]
    if not all(map(math.isfinite, ratios)):
        return None
    times = statistics.fmean(ratios)
    spread = (max(ratios) - min(ratios)) / abs(times - 1) if times != 1 else math.inf
    if abs(times) <= EXACT and spread <= EXACT:
        return 0.0
    moved = (max(parts) - min(parts)) / max(map(abs, parts))
    return times if spread <= EXACT and moved > MOVED * spread and moved > EXACT else None
