"""The loosest value of each numeric key with which a check still kills what it kills: on the recorded runs alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lvmcheck.errors import BadValueError, InputError
from lvmcheck.run.view import Run
from lvmcheck.selftest.judging import BAD, Judged

HALVINGS = 24
DOUBLINGS = 16


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a bound can be moved.

    Args:
        check, key: the bound. value: as it is. loosest: the furthest value with which every kill remains.
        kills: how many faults it kills.
    """

    check: str
    key: str
    value: float
    loosest: float
    kills: int


def tolerances(item: Judged, runs: Sequence[Run]) -> Iterator[Tolerance]:
    """One for each numeric key that decides the kills of a check on these runs."""
    for field in dataclasses.fields(item.check):
        value = getattr(item.check, field.name)
        if isinstance(value, float):
            loosest = _loosest(item, field.name, value, runs)
            if loosest is not None:
                yield Tolerance(check=item.name, key=field.name, value=value, loosest=loosest, kills=len(runs))


def _loosest(item: Judged, key: str, value: float, runs: Sequence[Run]) -> float | None:
    """By bisection between the value and the first one that lets a fault through; None where none does."""
    for sign in (1.0, -1.0):
        distance = max(abs(value), 1e-6) / 16
        kept = value
        for _ in range(DOUBLINGS):
            tried = value + sign * distance
            if not _kills(item, key, tried, runs):
                return _between(item, key, kept, tried, runs)
            kept, distance = tried, 2 * distance
    return None


def _between(item: Judged, key: str, kills: float, lost: float, runs: Sequence[Run]) -> float | None:
    """The last value that kills; None where the other end is refused rather than too loose."""
    refused = _kills(item, key, lost, runs) is None
    for _ in range(HALVINGS):
        middle = (kills + lost) / 2
        answer = _kills(item, key, middle, runs)
        if answer:
            kills = middle
        else:
            lost, refused = middle, answer is None
    return None if refused else kills


def _kills(item: Judged, key: str, value: float, runs: Sequence[Run]) -> bool | None:
    """Whether every run still fails; None where the check refuses the value."""
    try:
        changed = item.using(dataclasses.replace(item.check, **{key: value}))
    except (BadValueError, InputError, ValueError):
        return None
    return all(changed.outcome(run).status in BAD for run in runs)
