"""A number for each bound that a suite sets: the one that a stated share of healthy seeds misses."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import Bound, BoundKind
from lvmcheck.checks.finding import Finding, Status
from lvmcheck.errors import BadValueError, InputError
from lvmcheck.run.view import Run
from lvmcheck.statistics.rounding import rounded
from lvmcheck.statistics.seeds import sample
from lvmcheck.statistics.student import t_quantile
from lvmcheck.suite import CheckEntry
from lvmcheck.suite.judging import judge_entry

SIDES = (BoundKind.FLOOR, BoundKind.CEILING)
NUDGE = 1e-3
"""How far a key is moved to see which bound it sets, relative to its size."""
_SHIFTED = re.compile(r"(.+?)\s*([+-])\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*")


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """Another value for a key of a check.

    Attributes:
        kind: of the bound that the key sets. now: its value. value: the one proposed, of the same type.
    """

    key: str
    kind: BoundKind
    now: float | str
    value: float | str


def proposals(entry: CheckEntry, runs: Sequence[Run], rate: float) -> Iterator[Proposed]:
    """One for each key of the suite that sets a bound of a number.

    Args:
        rate: share of healthy seeds that may miss the bound.
    """
    findings = [judge_entry(entry, run).finding for run in runs]
    known = [finding for finding in findings if finding is not None and _number(finding.measured)]
    if len(known) < len(runs) or len(runs) < 2:
        return
    for key, now in entry.params.items():
        if isinstance(now, bool) or not isinstance(now, int | float | str):
            continue
        at = _sets(entry, key, now, runs[0], known[0])
        if at is not None:
            one = _proposed(key, now, known, *at, rate)
            if _keeps(entry, one, runs):
                yield one


def _keeps(entry: CheckEntry, one: Proposed, runs: Sequence[Run]) -> bool:
    """Whether the seeds themselves pass with it: where a check has two sides, its one number may belong to the other.

    A value that is refused by itself may go with another one that is proposed.
    """
    try:
        changed = with_value(entry, [one])
    except BadValueError:
        return True
    return all(judge_entry(changed, run).status is Status.PASSED for run in runs)


def with_value(entry: CheckEntry, found: Sequence[Proposed]) -> CheckEntry:
    """The entry with these values.

    Raises:
        BadValueError: the check refuses them together.
    """
    check = dataclasses.replace(entry.check, **{item.key: item.value for item in found})
    return dataclasses.replace(entry, check=check)


def _sets(entry: CheckEntry, key: str, now: float | str, run: Run, before: Finding) -> tuple[int, float] | None:
    """Which bound a key sets, by its place, and how far the bound moves with the key; None where it sets none."""
    for sign in (1.0, -1.0):
        step = sign * (NUDGE if isinstance(now, str) else max(abs(now), NUDGE) * NUDGE)
        try:
            changed = dataclasses.replace(entry.check, **{key: shifted(now, step)})
            after = judge_entry(dataclasses.replace(entry, check=changed), run).finding
        except (BadValueError, InputError, ValueError, TypeError):
            continue
        if after is None or len(after.bounds) != len(before.bounds):
            continue
        for place, (old, new) in enumerate(zip(before.bounds, after.bounds, strict=True)):
            moved = _value(new) - _value(old)
            if old.kind in (*SIDES, BoundKind.ABORT) and math.isfinite(moved) and moved != 0:
                return place, moved / step
    return None


def _proposed(
    key: str, now: float | str, findings: Sequence[Finding], place: int, slope: float, rate: float
) -> Proposed:
    kind = findings[0].bounds[place].kind
    up = _from_above(findings[0].bounds, place)
    sign = 1.0 if up else -1.0
    over = [float(_measured(item) - _value(item.bounds[place])) for item in findings]  # above the bound
    drawn = sample(over)
    off = t_quantile(rate, drawn.n - 1) * drawn.sd * math.sqrt(1 + 1 / drawn.n)
    step = (drawn.mean + sign * off * (2 if kind is BoundKind.ABORT else 1)) / slope
    if isinstance(now, str):
        return Proposed(key=key, kind=kind, now=now, value=shifted(now, rounded(step, up=up == (slope > 0))))
    return Proposed(key=key, kind=kind, now=now, value=rounded(now + step, up=up == (slope > 0)))


def shifted(now: float | str, step: float) -> float | str:
    """A number moved by a step; an expression with its last number moved."""
    if not isinstance(now, str):
        return float(now) + step
    found = _SHIFTED.fullmatch(now)
    name, constant = (found[1], float(found[3]) * (-1 if found[2] == "-" else 1)) if found else (now.strip(), 0.0)
    total = constant + step
    return f"{name} {'-' if total < 0 else '+'} {abs(total):.4g}"


def _from_above(bounds: Sequence[Bound], place: int) -> bool:
    """Whether a bound is a ceiling, or the abort bound beyond one."""
    if bounds[place].kind in SIDES:
        return bounds[place].kind is BoundKind.CEILING
    return any(bound.kind is BoundKind.CEILING for bound in bounds)


def _value(bound: Bound) -> float:
    return float(bound.value) if _number(bound.value) and not isinstance(bound.value, str) else math.nan


def _measured(finding: Finding) -> float:
    return float(finding.measured) if isinstance(finding.measured, int | float) else math.nan


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
