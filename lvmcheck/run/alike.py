"""Whether the runs of several seeds are several runs: five equal ones are one, and say nothing of chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

MACHINE = ("per_second", "seconds")
"""Ends of the names of metrics that measure the machine, not the training."""
FIRST = 3
"""Windows of steps, beside the first epoch, that two runs are compared by where they are not equal."""
ROUNDING = 1e-6
"""Relative difference up to which numbers of the beginning are called equal: seeds differ by far more there."""
Place = tuple[str, int, int, str]
"""What was measured where: windows or epochs, first and last step (or epoch), and the name."""


@dataclass(frozen=True)
class Repeated:
    """Runs of several seeds of which two or more are one.

    Attributes:
        seeds: the first two that are one run. distinct: how many runs there are. of: how many were counted.
        exact: whether all that both recorded is equal; else they differ by rounding alone as they begin.
        begun: their first weights and first batches are equal, by the digests that they recorded.
    """

    seeds: tuple[int | None, int | None]
    distinct: int
    of: int
    exact: bool
    begun: bool = False

    def problem(self) -> str:
        """``identical runs: 1 distinct of 5 (seed0 and seed1 are equal in everything recorded)``."""
        one, other = self.seeds
        how = "are equal in everything that was recorded" if self.exact else "begin equal but for rounding"
        how = "begin with the same weights and the same first batch" if self.begun else how
        return f"identical runs: {self.distinct} distinct of {self.of} (seed{one} and seed{other} {how})"


FIX = "The seed must change the first weights or the order of the data: does the trainer use config['seed']?"


def repeated(runs: Sequence[Run]) -> Repeated | None:
    """What of several runs is the same run; None where each differs from every other."""
    kept: list[tuple[Run, dict[Place, float]]] = []
    found: tuple[Run, Run, bool, bool] | None = None
    for run in runs:
        trace = dict(recorded(run))
        for other, known in kept:
            begun = same_origin(run, other)
            exact = None if begun is False else alike(trace, known, over=run.over and other.over)
            if exact is not None or begun:
                found = found or (other, run, bool(exact), bool(begun))
                break
        else:
            kept.append((run, trace))
    if found is None:
        return None
    return Repeated((found[0].seed, found[1].seed), len(kept), len(runs), found[2], found[3])


def same_origin(one: Run, other: Run) -> bool | None:
    """Whether two runs begin with the same weights and the same first batch; None where that is not recorded."""
    pairs = list(zip(origin(one), origin(other), strict=True))
    known = [a == b for a, b in pairs if a is not None and b is not None]
    if not all(known):
        return False
    return True if len(known) == len(pairs) else None


def origin(run: Run) -> tuple[str | None, str | None]:
    """The digests of the first weights and of the first batch that a run has recorded."""
    said = run.of(ev.Origin)
    weights = next((event.weights for event in said if event.weights), None)
    return weights, next((event.batch for event in said if event.batch), None)


def distinct(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The first of each group of equal runs."""
    kept: list[Run] = []
    for run in runs:
        if repeated([*kept, run]) is None:
            kept.append(run)
    return tuple(kept)


def alike(one: Mapping[Place, float], other: Mapping[Place, float], *, over: bool) -> bool | None:
    """True where all that both recorded is equal, False where only rounding tells them apart, None for two runs.

    While a run goes on, numbers of few digits (an accuracy of 0.5) are no evidence: two runs may well share them.
    """
    common = [place for place in one if place in other]
    telling = any(_has_digits(one[place]) for place in common)
    if common and (over or telling) and all(_equal(one[place], other[place]) for place in common):
        return True
    begin = _beginning(one) & _beginning(other)
    if not any(_has_digits(one[place]) for place in begin):
        return None
    near = all(math.isclose(one[place], other[place], rel_tol=ROUNDING) for place in begin)
    return False if near else None


def recorded(run: Run) -> Iterator[tuple[Place, float]]:
    """Every number of the training itself: of windows of steps and of epochs."""
    for window in run.windows:
        place = window.first_step, window.last_step
        named = {"loss": window.loss_mean, "low": window.loss_min, "high": window.loss_max}
        terms = {f"term {name}": term.mean for name, term in window.terms.items()}
        named |= terms if window.grad_norm_mean is None else {"gradient": window.grad_norm_mean, **terms}
        yield from ((("window", *place, name), value) for name, value in named.items())
    for epoch in run.of(ev.Epoch):
        for name, value in epoch.metrics.items():
            if not name.endswith(MACHINE):
                yield ("epoch", epoch.epoch, epoch.epoch, name), value


def _beginning(trace: Mapping[Place, float]) -> set[Place]:
    windows = sorted({place[1:3] for place in trace if place[0] == "window"})[:FIRST]
    first = min((place[1] for place in trace if place[0] == "epoch"), default=None)
    early = {place for place in trace if place[0] == "epoch" and place[1] == first}
    return early | {place for place in trace if place[0] == "window" and place[1:3] in windows}


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _has_digits(value: float) -> bool:
    """More than six significant digits: two runs do not share such a number by chance."""
    return math.isfinite(value) and float(f"{value:.6g}") != value
