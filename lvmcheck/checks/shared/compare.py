"""What checks of several numbers share: reading them by name, comparing each, and one outcome of all comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lvmcheck.checks.bounds import Number, ceiling, floor
from lvmcheck.checks.finding import Finding, Outcome, compared, error, not_recorded
from lvmcheck.checks.shared.epochs import awaiting, complete
from lvmcheck.run.events import Evaluation, Probe
from lvmcheck.run.view import Run


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
            raise UnmeasuredError(f"{key!r} is not recorded")
        return float(value)


# -- comparisons -----------------------------------------------------------------------------------------------------
def at_most(code: str, value: Number, limit: Number, **more: Any) -> Finding:
    """The finding of a number with a ceiling; ``more`` are further fields of the finding."""
    return Finding(code=code, measured=value, bounds=(ceiling(limit),), **more)


def at_least(code: str, value: Number, limit: Number, **more: Any) -> Finding:
    """The finding of a number with a floor; ``more`` are further fields of the finding."""
    return Finding(code=code, measured=value, bounds=(floor(limit),), **more)


def settle(findings: Sequence[Finding], *, evaluated: int | None = None) -> Outcome:
    """One outcome of several findings with bounds: the largest miss, else the pass nearest to its bound.

    A miss comes first however small it is; NaN comes before all others.
    """
    if not findings:
        return error("nothing was compared")
    worst = min(findings, key=lambda finding: (finding.met, _distance(finding)))
    return compared(worst, evaluated=len(findings) if evaluated is None else evaluated)


def _distance(finding: Finding) -> float:
    margin = finding.margin
    return -math.inf if margin is None or math.isnan(margin) else margin


# -- where the numbers come from -------------------------------------------------------------------------------------
def each_evaluation(
    run: Run, name: str, compare: Callable[[Evaluation], Sequence[Finding] | Outcome], lacks: str
) -> Outcome:
    """Whether every evaluation of that name holds: decided at the first that does not, passed at the end of the run.

    Args:
        compare: findings of one evaluation, or why there are none; may raise :class:`UnmeasuredError`.
        lacks: what an ended run without such an evaluation has not shown.
    """
    kept: list[Finding] = []
    for event in run.of(Evaluation):
        if event.name != name:
            continue
        try:
            found = compare(event)
        except UnmeasuredError as problem:
            return not_recorded(f"evaluation {name!r}: {problem}")
        if isinstance(found, Outcome):
            return found
        kept += found
        if not all(finding.met for finding in found):
            return settle(found, evaluated=len(kept))
    if not run.finished or not complete(run):
        return awaiting(run, f"every evaluation {name!r}", evaluated=len(kept))
    if not kept:
        return not_recorded(f"no evaluation {name!r} is recorded: {lacks}")
    return settle(kept)


def final_probe(run: Run, name: str, compare: Callable[[Numbers, Probe], Outcome]) -> Outcome:
    """The answer from the last probe of that name in the final epoch: pending before it, "not recorded" without it.

    Args:
        compare: the answer from the probe's numbers and the probe; may raise :class:`UnmeasuredError`.
    """
    if not complete(run):
        return awaiting(run, f"the probe {name!r} of the final epoch")
    probes = run.probes(name)
    if not probes:
        return not_recorded(f"no probe {name!r} is recorded")
    if probes[-1].epoch < run.last_epoch:
        return not_recorded(f"no probe {name!r} is recorded after epoch {probes[-1].epoch}, of {run.last_epoch} epochs")
    try:
        return compare(Numbers(probes[-1].values), probes[-1])
    except UnmeasuredError as problem:
        return not_recorded(f"probe {name!r}: {problem}")
