"""The shares of loss terms: which has how much of the loss and of its gradient, over a range of steps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.run.events import Epoch, Term
from lvmcheck.run.view import Run

PROBE = "term_grad_norm"
TERM_METRIC = "train_loss_"
MAIN = 10.0
"""A term whose weight is this many times the next is meant to dominate."""


@dataclass(frozen=True)
class Measured:
    """The largest term of a range of steps: by gradient norm where it was probed, else by value.

    ``share`` is its part of the loss value, ``ratio`` its gradient norm over that of the next term.
    """

    name: str
    next: str | None
    share: float
    ratio: float | None
    count: int
    epoch: int
    first_step: int | None
    last_step: int | None


def active_terms(run: Run) -> dict[str, float]:
    """Weight of each optimised term, from windows, else from the config where epochs log the terms."""
    stated = {name: term.weight for window in run.windows for name, term in window.terms.items() if term.weight}
    if stated:
        return stated
    loss = run.config.get("loss")
    if run.windows or not isinstance(loss, Mapping):
        return {}
    numbers = {str(name): weight for name, weight in loss.items() if isinstance(weight, int | float) and weight}
    return {name: float(weight) for name, weight in numbers.items() if TERM_METRIC + name in run.metric_names}


def heaviest(terms: Mapping[str, float]) -> str | None:
    """The term meant to dominate: its weight is at least ten times every other."""
    ranked = sorted(terms, key=lambda name: -abs(terms[name]))
    if len(ranked) < 2:
        return None
    return ranked[0] if abs(terms[ranked[0]]) >= MAIN * abs(terms[ranked[1]]) else None


def measure(run: Run, epoch: int, first: float, last: float, names: Sequence[str]) -> Measured | None:
    """Medians over the steps ``first`` to ``last`` (of that epoch, unless it is 0); None where nothing was recorded."""
    windows = [w for w in run.windows if w.terms and first <= w.first_step and w.last_step <= last]
    probes = [p for p in run.probes(PROBE) if first <= p.step <= last]
    if epoch:
        windows, probes = [w for w in windows if w.epoch == epoch], [p for p in probes if p.epoch == epoch]
    values = {name: _median([_part(w.terms[name]) for w in windows if name in w.terms]) for name in names}
    if not windows:
        ends = [event for event in run.of(Epoch) if event.epoch == epoch]
        if run.windows or not ends:
            return None
        weights = active_terms(run)
        values = {name: abs(weights[name] * ends[0].metrics.get(TERM_METRIC + name, math.nan)) for name in names}
    norms = {name: _median([p.values.get(name, math.nan) for p in probes]) for name in names} if probes else None
    name, following, share, ratio = _largest(values, norms)
    steps = (windows[0].first_step, windows[-1].last_step) if windows else (None, None)
    return Measured(name, following, share, ratio, len(values), epoch or windows[-1].epoch, *steps)


def _part(term: Term) -> float:
    return abs(term.weight * term.mean)


def _largest(
    values: Mapping[str, float], norms: Mapping[str, float] | None
) -> tuple[str, str | None, float, float | None]:
    """Largest term, the next one, its share of the value and the ratio of their gradient norms."""
    order = norms if norms is not None else values
    bad = next((name for name in order if not math.isfinite(order[name])), None)
    ranked = sorted(order, key=lambda name: -order[name] if math.isfinite(order[name]) else -math.inf)
    top, after = ranked[0], ranked[1] if len(ranked) > 1 else None
    total = math.fsum(values.values()) if all(map(math.isfinite, values.values())) else math.nan
    share = values[top] / total if total > 0 else 1.0 if len(values) == 1 and total == 0 else math.nan
    if total == 0 and len(values) > 1:
        share = 0.0
    ratio = None
    if norms is not None and after is not None:
        ratio = math.nan if bad else norms[top] / norms[after] if norms[after] > 0 else math.inf
        ratio = 1.0 if norms[top] == 0 else ratio
    return top, after, share, ratio


def _median(numbers: Sequence[float]) -> float:
    return math.nan if not numbers or not all(map(math.isfinite, numbers)) else statistics.median(numbers)
