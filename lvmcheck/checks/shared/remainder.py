"""What is in a loss and in none of its logged terms: its size, its spread, and what it looks like."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.wording import figure

STEADY = 0.02
"""Relative spread up to which a remainder is called constant."""


@dataclass(frozen=True)
class Entry:
    """A window (with its last step) or an epoch in the ledger.

    ``apart`` is the relative difference of the loss from ``total``, the sum of its weighted terms.
    """

    epoch: int
    step: int | None
    apart: float
    loss: float
    total: float


def entry(epoch: int, step: int | None, loss: float, parts: Sequence[float], measured: float | None = None) -> Entry:
    """An entry of weighted terms ``parts``; ``measured`` is the difference where steps were compared one by one."""
    finite = all(map(math.isfinite, parts))
    total = math.fsum(parts) if finite else math.nan
    return Entry(epoch, step, apart(loss, parts) if measured is None else measured, loss, total)


def apart(loss: float, parts: Sequence[float]) -> float:
    """|loss - sum| over the larger of |loss| and the sum of magnitudes; NaN when a number is not finite."""
    if not all(map(math.isfinite, (loss, *parts))):
        return math.nan
    scale = max(abs(loss), math.fsum(map(abs, parts)))
    return abs(loss - math.fsum(parts)) / scale if scale > 0 else 0.0


def describe(entries: Sequence[Entry], cosines: Mapping[int, float], dim: int | None) -> str:
    """The remainder in one sentence.

    Args:
        entries: the ledger.
        cosines: train cosine by epoch, where it is logged.
        dim: dimension of the vectors, where it is known.
    """
    found = [(item, item.loss - item.total) for item in entries if math.isfinite(item.loss - item.total)]
    if not found or any(math.isnan(item.apart) for item in entries):
        return "a NaN or an infinity in the loss or in a term: nothing can be balanced"
    first, rest = found[0][0], [value for _, value in found]
    mean, spread = statistics.fmean(rest), statistics.pstdev(rest)
    steady = len(rest) >= 2 and spread <= STEADY * abs(mean)
    if len(rest) == 1:
        shape = f"at epoch {first.epoch}"
    elif steady:
        shape = "in every " + ("window" if first.step is not None else "epoch")
    else:
        shape = f"on average (standard deviation {figure(spread)})"
    share = 100 * abs(rest[0] / first.loss) if first.loss else math.nan
    like = _constant(mean) if steady else _follows_cosine(found, cosines, dim)
    return f"hidden remainder {mean:.3g} {shape}, {share:.2g} % of the loss at epoch {first.epoch}{like}"


def _constant(mean: float) -> str:
    """The variance hinge mean_d relu(1 - std_d) of unit vectors cannot leave [1 - 1/sqrt(D), 1]."""
    weight = float(f"{mean:.0e}") if mean > 0 else 0.0
    if weight and 0.95 * weight <= mean <= 0.9999 * weight:
        return (
            f"; fits a variance hinge of weight {weight:g} (the hinge stays within 4 % of 1 for unit vectors; "
            f"here {mean / weight:.3f})"
        )
    return "; a constant: it has no gradient, or it is a term at its bound"


def _follows_cosine(found: Sequence[tuple[Entry, float]], cosines: Mapping[int, float], dim: int | None) -> str:
    """An MSE of unit vectors is 2 (1 - cosine) / D."""
    ratios = [value / (1 - cosines[item.epoch]) for item, value in found if cosines.get(item.epoch, 1.0) < 1]
    if len(ratios) < 3 or found[0][0].step is not None:  # epochs have a cosine of their own, windows do not
        return ""
    mean = statistics.fmean(ratios)
    if not statistics.pstdev(ratios) <= 0.01 * abs(mean):
        return ""
    mse = f" = an MSE of weight {mean * dim / 2:.3g}" if dim else ""
    return f"; it follows 1 - train cosine: {mean:.3g} times it{mse}"
