"""The ceilings of this machine, measured once a session, whichever measurement asks first."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from suites.throughput import ceilings as kernels
from suites.throughput.ceilings import BEYOND, SIDE, SQUARE_FLOPS, Ceilings, Traffic, beyond_cache
from suites.throughput.figures import FIGURES, Figures
from suites.throughput.interleave import Lane, Spread
from suites.throughput.machine import TYPICAL_CACHE, last_cache, load, physical_cores, words
from suites.throughput.stopwatch import Place, clock

CEILINGS = pytest.StashKey[Ceilings]()
TITLE = "ceilings of this machine"


def rates(lanes: Mapping[str, tuple[Lane, int]], rounds: int) -> dict[str, Spread]:
    """Work a second of each lane, taking turns; the first round does not count."""
    found: dict[str, list[float]] = {name: [] for name in lanes}
    for _ in range(rounds + 1):
        for name, (lane, work) in lanes.items():
            began = clock()
            lane()
            found[name].append(work / (clock() - began))
    return {name: Spread.of(values[1:]) for name, values in found.items()}


def ceilings(config: pytest.Config, place: Place, rounds: int) -> Ceilings:
    """Those of ``place``, measured when they are first asked for and written into the table."""
    if CEILINGS not in config.stash:
        config.stash[CEILINGS] = _measure(config.stash[FIGURES], place, rounds)
    return config.stash[CEILINGS]


def _measure(figures: Figures, place: Place, rounds: int) -> Ceilings:
    cache = last_cache() or TYPICAL_CACHE
    large, small = beyond_cache(place.device), max(cache // 8, 1 << 20)
    square = rates({"square": (kernels.gemm(place.device), SQUARE_FLOPS)}, rounds)["square"]
    figures.say(TITLE, f"{words(place.device)}; {place.words()}; load average {load() or 0.0:.1f} at the start.")
    figures.say(TITLE, f"{physical_cores()} physical cores; last-level cache {cache >> 20} MiB.")
    figures.add(TITLE, f"product of side {SIDE}, float32", *shown(square, 1e9, "GFLOP/s"), f"{rounds} rounds")
    far = _traffic(figures, place, large, rounds, f"arrays of {large >> 20} MiB, {BEYOND} times the cache")
    near = far
    if place.device.type == "cpu":
        near = _traffic(figures, place, small, 4 * rounds, f"arrays of {small >> 20} MiB: the cache holds all three")
    return Ceilings(square.median, far, near, cache)


def _traffic(figures: Figures, place: Place, size: int, rounds: int, how: str) -> float:
    """The best of the three ways to move memory, in bytes/s."""
    found = rates(Traffic(place.device, size).lanes(), rounds)
    for name, rate in found.items():
        figures.add(TITLE, name, *shown(rate, 1e9, "GB/s"), how)
    return max(rate.median for rate in found.values())


def shown(rate: Spread, unit: float, name: str) -> tuple[str, str]:
    """Median with its unit, and the middle half."""
    scaled = rate.times(1 / unit)
    return f"{scaled.median:.1f} {name}", f"{scaled.low:.1f} to {scaled.high:.1f}"
