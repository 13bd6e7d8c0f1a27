"""What the data alone allows: its trivial predictors, and floors written in them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, facts
from lvmcheck.errors import BadValueError, nearest
from lvmcheck.run.view import Run

TRIVIAL = ("constant_mean", "persistence", "mean_of_context")
"""Predictors that learn nothing, or only a mean: a model must beat them."""
NAMES = (*TRIVIAL, "best_linear", "optimum")
OOD = "ood"


def baselines(run: Run, metric: str) -> dict[str, float]:
    """Mean cosine of each recorded baseline on the data that ``metric`` is measured on; only finite ones.

    Metrics that begin with ``ood`` take the facts of the OOD set (``ood.<name>.<baseline>``): of the set that the
    metric's name ends with (``ood_cosine_<name>``), of the only one, or the mean over all windows of all sets.
    """
    if not metric.startswith(OOD):
        return {name: value for name in NAMES if (value := _number(run.facts.get(name))) is not None}
    sets = _ood_sets(run.facts)
    named = [name for name in sets if metric.endswith((f"_{name}", f".{name}"))]
    if named:
        return sets[max(named, key=len)]
    if len(sets) == 1:
        return next(iter(sets.values()))
    return _pooled(run.facts, sets)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _ood_sets(facts: Mapping[str, object]) -> dict[str, dict[str, float]]:
    sets: dict[str, dict[str, float]] = {}
    for key, raw in facts.items():
        owner, _, fact = key.rpartition(".")
        value = _number(raw)
        if owner.startswith(f"{OOD}.") and fact in NAMES and value is not None:
            sets.setdefault(owner.removeprefix(f"{OOD}."), {})[fact] = value
    return sets


def _pooled(facts: Mapping[str, object], sets: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Baselines of all sets together; empty when a set does not state its number of windows."""
    sizes = {name: _number(facts.get(f"{OOD}.{name}.windows")) for name in sets}
    total = sum(size or 0.0 for size in sizes.values())
    if not sets or total <= 0 or any(size is None for size in sizes.values()):
        return {}
    shared = [fact for fact in NAMES if all(fact in values for values in sets.values())]
    return {fact: sum((sizes[name] or 0.0) * values[fact] for name, values in sets.items()) / total for fact in shared}


def evidence(run: Run, metric: str) -> tuple[Fact, ...]:
    """What the baselines of this run's data score; () where they are not recorded."""
    return facts(baselines(run, metric))


@dataclass(frozen=True)
class Floor:
    """A floor: a number, or a sum of numbers and multiples of baselines such as ``best_linear + 0.01``."""

    text: str
    parts: tuple[tuple[float, str | None], ...]

    def value(self, known: Mapping[str, float]) -> float | None:
        """The number on data with these baselines, or None when one of them is not recorded."""
        if self.missing(known):
            return None
        return math.fsum(factor * (known[name] if name else 1.0) for factor, name in self.parts)

    def missing(self, known: Mapping[str, float]) -> list[str]:
        return [name for _, name in self.parts if name and name not in known]

    @property
    def relative(self) -> bool:
        return any(name for _, name in self.parts)


_TOKEN = re.compile(r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)|(?P<name>[A-Za-z_][\w./]*)|(?P<sign>[-+*]))")


def parse_floor(key: str, floor: float | str, *, names: Sequence[str] | None = NAMES, limit: float = 1.0) -> Floor:
    """A number of at most ``limit`` in size, or an expression of ``+``, ``-``, ``*``, numbers and names.

    Args:
        key: the key of the bound, for messages.
        floor: as it is asked for.
        names: names that an expression may hold; None for any.
        limit: largest size of a number.

    Raises:
        BadValueError: neither.
    """
    if not isinstance(floor, str):
        if isinstance(floor, bool) or not math.isfinite(floor) or not -limit <= floor <= limit:
            wanted = "a finite number" if math.isinf(limit) else f"{-limit:g} to {limit:g}"
            raise BadValueError(key, f"expected {wanted}, got {floor!r}")
        return Floor(f"{floor:g}", ((float(floor), None),))
    return Floor(floor.strip(), tuple(_product(key, floor, summand, names) for summand in _summands(key, floor)))


def _summands(key: str, text: str) -> list[list[str]]:
    """Tokens of each summand, the sign first."""
    if len(text) > 200:
        raise BadValueError(key, f"expected at most 200 characters, got {len(text)}")
    tokens: list[str] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unreadable(key, text)
        tokens.append(match.group().strip())
        position = match.end()
    if not tokens:
        raise _unreadable(key, text)
    sums: list[list[str]] = [["+"]] if tokens[0] not in "+-" else []
    for token in tokens:
        if token in "+-":
            sums.append([token])
        else:
            sums[-1].append(token)
    return sums


def _product(key: str, text: str, tokens: list[str], names: Sequence[str] | None) -> tuple[float, str | None]:
    """Factor and at most one baseline of ``sign factor (* factor)*``."""
    factor, name = (-1.0 if tokens[0] == "-" else 1.0), None
    factors, stars = tokens[1::2], tokens[2::2]
    if not factors or len(factors) != len(stars) + 1 or any(star != "*" for star in stars) or "*" in factors:
        raise _unreadable(key, text)
    for token in factors:
        if token[0].isdigit() or token[0] == ".":
            factor *= float(token)
        elif names is not None and token not in names:
            raise BadValueError(key, f"no such baseline {token!r} in {text!r}. {nearest(token, names)}")
        elif name is not None:
            raise BadValueError(key, f"expected at most one baseline in a product, got {text!r}")
        else:
            name = token
    return factor, name


def _unreadable(key: str, text: str) -> BadValueError:
    return BadValueError(key, f"expected a number or an expression such as 'best_linear + 0.01', got {text!r}")
