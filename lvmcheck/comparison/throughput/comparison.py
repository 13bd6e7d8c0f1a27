"""One benchmark now and then, as the ratio of two ratios: slower, faster, unchanged, or why that cannot be said."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lvmcheck.comparison.throughput.result import Result, different
from lvmcheck.comparison.throughput.stored import Stored
from lvmcheck.errors import InputError

FLOOR = 1.3
"""The smallest change that is ever called one: what sessions of the same code differ by (docs/throughput.md)."""
SPREADS = 2.0
"""So many joint spreads (:attr:`Result.spread` of both, in quadrature) are never a change."""
WIDEST = 1.75
"""A tolerance above this could hide the 1.8 times that the original project lost: nothing is concluded then."""


class Change(StrEnum):
    SLOWER = "slower"
    FASTER = "faster"
    UNCHANGED = "unchanged"
    UNCOMPARED = "not comparable"
    NEW = "new"


FAILING = (Change.SLOWER, Change.UNCOMPARED)
"""What could not be compared has not passed."""


@dataclass(frozen=True, kw_only=True)
class RatioComparison:
    """A benchmark beside its stored result.

    Args:
        ratio: time now over time then, both relative to the calibration kernel; None where there are not both.
        tolerance: the ratio up to which it is unchanged.
        why: why it is not comparable, else empty.
    """

    name: str
    change: Change
    now: Result | None = None
    then: Result | None = None
    ratio: float | None = None
    tolerance: float | None = None
    why: str = ""

    @property
    def failing(self) -> bool:
        return self.change in FAILING

    def sentence(self) -> str:
        """``slower: 1.42 times the time of then, allowed 1.15``, or why it is not comparable."""
        if self.ratio is None or self.tolerance is None or self.why:
            return f"{self.change.value}: {self.why}" if self.why else self.change.value
        return f"{self.change.value}: {self.ratio:.2f} times the time of then, allowed {self.tolerance:.2f}"


def tolerance(now: Result, then: Result) -> float:
    """The ratio of two results up to which they may be the same: a floor, or more where both spreads ask for it."""
    return max(FLOOR, math.exp(SPREADS * math.hypot(now.spread, then.spread)))


def compare(now: Result, then: Result) -> RatioComparison:
    """Two results of one benchmark on devices of one kind."""
    why = different(now, then)
    if why:
        return RatioComparison(name=now.name, change=Change.UNCOMPARED, now=now, then=then, why=why)
    ratio, allowed = now.relative / then.relative, tolerance(now, then)
    change = Change.SLOWER if ratio > allowed else Change.FASTER if ratio < 1 / allowed else Change.UNCHANGED
    if change is Change.UNCHANGED and allowed > WIDEST:
        change, why = Change.UNCOMPARED, f"too noisy: only a change of {allowed:.2f} times would show"
    return RatioComparison(name=now.name, change=change, now=now, then=then, ratio=ratio, tolerance=allowed, why=why)


def require_kind(now: Result, stored: Stored) -> None:
    """Raise InputError when the document holds this benchmark of another kind of device."""
    then = stored.results.get(now.name)
    if then is not None and then.device != now.device:
        problem = f"holds {now.name} on {then.device}, and this session measures it on {now.device}"
        raise InputError(stored.path, problem, fix="Results of different kinds of device are never compared.")


def compare_all(
    now: Mapping[str, Result], absent: Mapping[str, str], stored: Stored, broken: Collection[str] = ()
) -> list[RatioComparison]:
    """Every stored benchmark with what was measured now, then what is new.

    Args:
        now: by full name. absent: why a benchmark of this session has no result.
        broken: those of ``absent`` that state a result which cannot be used.

    Raises:
        InputError: the document holds results of another kind of device.
    """
    found = []
    for name in dict.fromkeys((*stored.results, *sorted(broken))):
        then = stored.results.get(name)
        if name in now and then is not None:
            require_kind(now[name], stored)
            found.append(compare(now[name], then))
        else:
            why = absent.get(name, "not run in this session")
            found.append(RatioComparison(name=name, change=Change.UNCOMPARED, then=then, why=why))
    kinds = sorted({result.device for result in now.values()})
    if kinds and not set(kinds) & set(stored.devices):
        problem = f"holds results on {', '.join(stored.devices)}, and this session measured on {', '.join(kinds)}"
        raise InputError(stored.path, problem, fix="Results of different kinds of device are never compared.")
    new = (result for name, result in now.items() if name not in stored.results)
    return found + [RatioComparison(name=result.name, change=Change.NEW, now=result) for result in new]


def complaints(compared: Sequence[RatioComparison]) -> list[str]:
    """Why a session fails by its comparison; nothing where it passes."""
    if not any(comparison.ratio is not None for comparison in compared):
        return ["nothing was compared"]
    counts = {change: sum(each.change is change for each in compared) for change in FAILING}
    return [f"{count} {change.value}" for change, count in counts.items() if count]
