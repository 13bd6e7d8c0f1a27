"""Specialisations: what one set of weights does with depth and memory. Everything here is read by the model.

The original project's three "specialised" models differed by their initial weights alone: capacity and surprise were
never read, and a higher threshold, meant to make "speed" halt early, makes it halt late (history 9). Here a lower
threshold halts earlier, so "speed" has the lowest.
"""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True)
class Specialisation:
    """What the model reads beside its weights.

    Attributes:
        halting_threshold: a token halts at the first step where the probability of having halted reaches it, in (0, 1].
        memory_capacity: horizon of the memory in written tokens, >= 2: it keeps ``1 - 1 / capacity`` a written token.
        surprise_threshold: surprise, in 0..1, at which a token is written with half strength.
    """

    halting_threshold: float
    memory_capacity: int
    surprise_threshold: float


SPECIALISATIONS = {
    "reasoning": Specialisation(halting_threshold=0.9, memory_capacity=100, surprise_threshold=0.4),
    "memory": Specialisation(halting_threshold=0.7, memory_capacity=400, surprise_threshold=0.3),
    "speed": Specialisation(halting_threshold=0.3, memory_capacity=25, surprise_threshold=0.5),
}
"""By name; "reasoning" keeps 0.99 a written token, as the original project's memory did."""

_WHERE = "model cognate"


def get_specialisation(
    name: str,
    *,
    halting_threshold: float | None = None,
    memory_capacity: int | None = None,
    surprise_threshold: float | None = None,
) -> Specialisation:
    """The specialisation of that name, with the given values in place of its own.

    Raises:
        InputError: no such name, or a value out of range.
    """
    if name not in SPECIALISATIONS:
        fix = nearest(name, SPECIALISATIONS)
        raise InputError(_WHERE, f"no such specialisation {name!r}", key="run.model.specialisation", fix=fix)
    usual = SPECIALISATIONS[name]
    halting = usual.halting_threshold if halting_threshold is None else halting_threshold
    capacity = usual.memory_capacity if memory_capacity is None else memory_capacity
    surprise = usual.surprise_threshold if surprise_threshold is None else surprise_threshold
    _check("halting_threshold", halting, 0.0 < halting <= 1.0, "more than 0 and at most 1")
    _check("memory_capacity", capacity, capacity >= 2, "at least 2")
    _check("surprise_threshold", surprise, 0.0 <= surprise <= 1.0, "0 to 1")
    return Specialisation(halting_threshold=halting, memory_capacity=capacity, surprise_threshold=surprise)


def _check(name: str, value: float, fits: bool, expected: str) -> None:
    if not fits:
        raise InputError(_WHERE, f"expected {expected}, got {value:g}", key=f"run.model.{name}")
