"""A self-test as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lvmcheck.selftest.session import Fate, Result, Selftest

FORMAT = 2


def lines(test: Selftest) -> Iterator[str]:
    """The table of kills, then what survived, what was not planted, and what the checks never showed."""
    yield f"{test.title}: {len(test.clean)} checks"
    if test.red:
        yield "the unmodified run must pass before faults are planted; it does not:"
        yield from (f"  {name}" for name in test.red)
        return
    width = max((len(result.name) for result in test.results), default=0)
    yield ""
    for result in test.of(Fate.KILLED):
        first, more = result.kills[0], len(result.kills) - 1
        also = f" (+{more})" if more else ""
        yield f"  killed       {result.name:<{width}}  {first.where}  {first.check}{also}"
    for fate in (Fate.SURVIVED, Fate.NOT_PLANTED, Fate.NOT_DONE):
        for result in test.of(fate):
            yield f"  {fate:<11}  {result.name:<{width}}  {result.reason or result.about}"
    yield from _bounds(test)
    yield from _names("never decided anything", test.undecided)
    yield from _names("never failed (a run is stopped at its first failure)", test.never_failed)
    yield ""
    yield summary(test)


def summary(test: Selftest) -> str:
    """The score in one line."""
    killed, survived = len(test.of(Fate.KILLED)), len(test.of(Fate.SURVIVED))
    score = "no fault was planted" if test.score is None else f"score {test.score:.3f}"
    rest = f"{len(test.of(Fate.NOT_PLANTED))} not planted, {len(test.of(Fate.NOT_DONE))} not done"
    return f"{score}: {killed} of {killed + survived} planted faults killed, {rest}, {test.seconds:.0f} s"


def _bounds(test: Selftest) -> Iterator[str]:
    if test.tolerances:
        yield ""
        yield "loosest bound that still kills"
    for bound in test.tolerances:
        yield f"  {bound.check}.{bound.key}  {bound.value:.4g} -> {bound.loosest:.4g} ({bound.kills} faults)"


def _names(title: str, names: list[str]) -> Iterator[str]:
    if names:
        yield ""
        yield title
        yield from (f"  {name}" for name in names)


def to_json(test: Selftest) -> dict[str, Any]:
    """For the gate and for other tools."""
    return {
        "format": FORMAT,
        "title": test.title,
        "score": test.score,
        "unmodified_fails": list(test.red),
        "faults": [_fault(result) for result in test.results],
        "tolerances": [asdict(bound) for bound in test.tolerances],
        "never_decided": test.undecided,
        "never_failed": test.never_failed,
        "seconds": round(test.seconds, 1),
    }


def _fault(result: Result) -> dict[str, Any]:
    return {
        "name": result.name,
        "about": result.about,
        "fate": result.fate.value,
        "reason": result.reason,
        "trained": result.trained,
        "seconds": round(result.seconds, 1),
        "kills": [asdict(kill) for kill in result.kills],
    }
