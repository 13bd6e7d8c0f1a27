"""What checks of several numbers share: reading them by name, comparing each, and one outcome of all comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, error, failed, passed
from lvmcheck.checks.shared.epochs import awaiting, complete
from lvmcheck.run.events import Evaluation, Probe
from lvmcheck.run.view import Run

Comparison = tuple[bool, Finding]
"""Whether it holds, and its finding."""


class UnmeasuredError(Exception):
    """A number that a check needs was not measured."""


@dataclass(frozen=True)
class Numbers:
    """Numbers by name; what is asked for and is not there raises :class:`UnmeasuredError`."""

    known: Mapping[str, object]

    def has(self, key: str) -> bool:
        return key in self.known

    def number(self, key: str) -> float:
        """One number; NaN where the run says so."""
        value = self.known.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnmeasuredError(f"{key!r} was not measured")
        return float(value)


# -- comparisons -----------------------------------------------------------------------------------------------------
def at_most(what: str, value: float, limit: float, evidence: Sequence[str] = ()) -> Comparison:
    """Whether a number is at most ``limit``, with its finding; a NaN is not."""
    finding = Finding(
        what=what, measured=value, wanted=f"at most {limit:g}", margin=limit - value, evidence=tuple(evidence)
    )
    return value <= limit, finding


def at_least(what: str, value: float, limit: float, evidence: Sequence[str] = ()) -> Comparison:
    """Whether a number is at least ``limit``, with its finding; a NaN is not."""
    finding = Finding(
        what=what, measured=value, wanted=f"at least {limit:g}", margin=value - limit, evidence=tuple(evidence)
    )
    return value >= limit, finding


def above(what: str, value: float, limit: float, evidence: Sequence[str] = ()) -> Comparison:
    """Whether a number is above ``limit``, with its finding; the limit itself and a NaN are not."""
    margin = None if value == limit else value - limit
    finding = Finding(what=what, measured=value, wanted=f"above {limit:g}", margin=margin, evidence=tuple(evidence))
    return value > limit, finding


def settle(comparisons: Sequence[Comparison], *, evaluated: int | None = None) -> Outcome:
    """One outcome of several comparisons: the failed one that misses most, else the passed one that is nearest.

    A failed comparison comes first however small its miss; NaN comes before all others.
    """
    if not comparisons:
        return error("nothing was compared")
    ok, finding = min(comparisons, key=lambda comparison: (comparison[0], _margin(comparison[1])))
    return (passed if ok else failed)(finding, evaluated=len(comparisons) if evaluated is None else evaluated)


def _margin(finding: Finding) -> float:
    margin = finding.margin
    return -math.inf if margin is None or math.isnan(margin) else margin


# -- where the numbers come from -------------------------------------------------------------------------------------
def each_evaluation(
    run: Run, name: str, compare: Callable[[Evaluation], Sequence[Comparison] | Outcome], lacks: str
) -> Outcome:
    """Whether every evaluation of that name holds: decided at the first that does not, passed at the end of the run.

    Args:
        compare: comparisons of one evaluation, or why there are none; may raise :class:`UnmeasuredError`.
        lacks: what an ended run without such an evaluation has not shown.
    """
    kept: list[Comparison] = []
    for event in run.of(Evaluation):
        if event.name != name:
            continue
        try:
            found = compare(event)
        except UnmeasuredError as problem:
            return error(f"evaluation {name!r}: {problem}")
        if isinstance(found, Outcome):
            return found
        kept += found
        if not all(ok for ok, _ in found):
            return settle(found, evaluated=len(kept))
    if not run.finished or not complete(run):
        return awaiting(run, f"every evaluation {name!r}", evaluated=len(kept))
    if not kept:
        return error(f"no evaluation {name!r} is recorded: {lacks}")
    return settle(kept)


def final_probe(run: Run, name: str, compare: Callable[[Numbers, Probe], Outcome]) -> Outcome:
    """The answer from the last probe of that name in the final epoch: pending before it, an error without it.

    Args:
        compare: the answer from the probe's numbers and the probe; may raise :class:`UnmeasuredError`.
    """
    if not complete(run):
        return awaiting(run, f"the probe {name!r} of the final epoch")
    said = run.probes(name)
    if not said:
        return error(f"no probe {name!r} is recorded: not measured")
    if said[-1].epoch < run.last_epoch:
        return error(f"no probe {name!r} is recorded after epoch {said[-1].epoch}, of {run.last_epoch} epochs")
    try:
        return compare(Numbers(said[-1].values), said[-1])
    except UnmeasuredError as problem:
        return error(f"probe {name!r}: {problem}")
