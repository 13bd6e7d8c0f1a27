"""Ratios that survive a shared machine: what is compared takes turns, and each turn is compared with its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from lvmcheck.testing.speed.stopwatch import clock

Lane = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a sample; all three are the value itself when there is one."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high)

    def shifted(self, by: float) -> Spread:
        """The same plus a constant."""
        return Spread(self.median + by, self.low + by, self.high + by)

    def times(self, factor: float) -> Spread:
        """The same times a positive constant."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)

    def inverse(self) -> Spread:
        """Of the reciprocals of a positive sample."""
        return Spread(1 / self.median, 1 / self.high, 1 / self.low)

    def words(self, show: Callable[[float], str]) -> str:
        """``1.2 % (0.8 to 1.9 %)``: the median and the middle half."""
        return f"{show(self.median)} ({show(self.low)} to {show(self.high)})"


def bracketed(subject: Sequence[float], reference: Sequence[float]) -> list[float]:
    """``subject[i]`` over the mean of ``reference[i]`` and ``reference[i + 1]``: a steady drift of the machine's speed
    cancels.

    Args:
        subject: n durations. reference: n + 1 durations taken before, between and after them.
    """
    if len(reference) != len(subject) + 1 or not subject:
        raise ValueError(f"expected n >= 1 and n + 1 durations, got {len(subject)} and {len(reference)}")
    return [s / ((before + after) / 2) for s, before, after in zip(subject, reference, reference[1:], strict=False)]


@dataclass(frozen=True)
class Turns:
    """Durations in seconds: n of the subject, n + 1 of every reference."""

    subject: list[float]
    references: Mapping[str, list[float]]

    def over(self, reference: str) -> Spread:
        """Duration of the subject over that of a reference."""
        return Spread.of(bracketed(self.subject, self.references[reference]))

    def between(self, one: str, other: str) -> Spread:
        """Duration of one reference over that of another in the same turn."""
        pairs = zip(self.references[one], self.references[other], strict=True)
        return Spread.of([a / b for a, b in pairs])

    def seconds(self, reference: str | None = None) -> float:
        """Median duration of a reference, or of the subject."""
        return median(self.subject if reference is None else self.references[reference])


def take_turns(
    benchmark: Any, subject: Lane, references: Mapping[str, Lane], *, rounds: int, warm: bool = True
) -> Turns:
    """``r1 r2 S r1 r2 S ... r1 r2``: pytest-benchmark times the subject, its setup times the references.

    Its mark must say ``timer=clock``. With ``warm``, one round of everything goes before and is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in references}

    def run_references() -> None:
        for name, lane in references.items():
            began = clock()
            lane()
            times[name].append(clock() - began)

    benchmark.pedantic(subject, setup=run_references, rounds=rounds, warmup_rounds=int(warm), iterations=1)
    run_references()
    return Turns(list(benchmark.stats.stats.data), {name: values[int(warm) :] for name, values in times.items()})
