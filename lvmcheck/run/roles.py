"""What a metric is: quantity, split, direction and range, by declaration or by a careful look at name and values.

What is not known has no direction and no range: nothing is concluded from a name that nobody can read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lvmcheck.errors import BadValueError, nearest
from lvmcheck.run.role_names import (
    IGNORED,
    NOT_THE_MODEL,
    PLAYERS,
    QUANTITIES,
    TERMS,
    TRAIN,
    VALIDATION,
    WEIGHTS,
    Quantity,
    adversaries,
    distance_of_samples,
    words,
)


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    NONE = "none"


class Direction(StrEnum):
    LOWER = "lower"
    HIGHER = "higher"
    UNKNOWN = "unknown"


_LOWER = frozenset({Quantity.LOSS, Quantity.ERROR, Quantity.PERPLEXITY, Quantity.BITS})
_HIGHER = frozenset({Quantity.ACCURACY, Quantity.SCORE, Quantity.COSINE, Quantity.R2, Quantity.REWARD})
_RANGES: dict[Quantity, tuple[float, float]] = {
    Quantity.ACCURACY: (0.0, 1.0),
    Quantity.COSINE: (-1.0, 1.0),
    Quantity.R2: (-math.inf, 1.0),
    Quantity.PERPLEXITY: (1.0, math.inf),
    Quantity.BITS: (0.0, math.inf),
    Quantity.GRAD_NORM: (0.0, math.inf),
}


@dataclass(frozen=True, slots=True)
class Role:
    """What one metric is.

    Args:
        name: the metric's name in the run.
        quantity: what is measured.
        split: on which data.
        direction: which way is better.
        unit: "%" where a share is given in percent.
        low, high: values that it can have.
        group: what tells it apart from others of its quantity and split, such as the name of an evaluation set.
        declared: whether somebody said so.
    """

    name: str
    quantity: Quantity = Quantity.UNKNOWN
    split: Split = Split.NONE
    direction: Direction = Direction.UNKNOWN
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    group: str = ""
    declared: bool = False

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is better than ``b``; never where the direction is not known."""
        return (self.direction is Direction.LOWER and a < b) or (self.direction is Direction.HIGHER and a > b)


# -- inference ---------------------------------------------------------------------------------------------------------


_BATCH = frozenset({"batch", "inbatch", "minibatch"})


def by_name(name: str) -> Role:
    """The role that a name alone suggests; unknown where it suggests none."""
    parts = words(name)
    split = Split.NONE
    sides = [word for word in parts if word in TRAIN or word in VALIDATION]
    if sides:
        split = Split.TRAIN if sides[0] in TRAIN else Split.VALIDATION
    rest = [word for word in parts if word not in TRAIN and word not in VALIDATION and word not in IGNORED]
    hits = [word for word in rest if word in QUANTITIES]
    if not hits or not (NOT_THE_MODEL | WEIGHTS).isdisjoint(_without_forcing(rest)):
        return Role(name, split=split)
    main = "loss" if "loss" in hits else "gradnorm" if "gradnorm" in hits else hits[-1]
    quantity = QUANTITIES[main]
    others = [word for word in rest if word != main]
    if QUANTITIES[hits[-1]] is Quantity.COUNT and others:  # loss_time, and not size_mse
        return Role(name, Quantity.COUNT, split)
    if quantity in (Quantity.ACCURACY, Quantity.SCORE) and split is Split.NONE and not _BATCH.isdisjoint(parts):
        split = Split.TRAIN  # of the batches that are trained on
    if quantity in (Quantity.ACCURACY, Quantity.SCORE) and any(word in PLAYERS for word in others):
        return Role(name, split=split)  # how well one player tells the other: it should fall to chance
    if quantity is Quantity.LOSS and any(word in TERMS for word in others):
        quantity = Quantity.TERM
    if quantity is Quantity.LOSS and main == "elbo":
        return Role(name, Quantity.UNKNOWN, split)  # some log its negative
    return _filled(Role(name, quantity, split, group="_".join(others)))


def _without_forcing(parts: list[str]) -> set[str]:
    """The words without the teacher of teacher forcing, which is a way to train."""
    return set(parts) - {"teacher"} if "forcing" in parts else set(parts)


def _filled(role: Role) -> Role:
    direction = Direction.UNKNOWN
    if role.quantity in _LOWER:
        direction = Direction.LOWER
    elif role.quantity in _HIGHER:
        direction = Direction.HIGHER
    low, high = _RANGES.get(role.quantity, (-math.inf, math.inf))
    return replace(role, direction=direction, low=low, high=high)


def by_values(role: Role, values: Iterable[float]) -> Role:
    """The role with what its values add: percent, or no range where they contradict the one of its name."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite or role.declared:
        return role
    low, high = min(finite), max(finite)
    if role.quantity is Quantity.ACCURACY:
        if low < -1e-6 or high > 100.0 + 1e-3:
            return replace(role, quantity=Quantity.SCORE, low=-math.inf, high=math.inf)
        if high > 1.0 + 1e-6:
            return replace(role, unit="%", low=0.0, high=100.0)
    if role.quantity is Quantity.COSINE and high > 1.5:
        return replace(role, quantity=Quantity.UNKNOWN, direction=Direction.UNKNOWN, low=-math.inf, high=math.inf)
    return role


# -- declarations ------------------------------------------------------------------------------------------------------
_KEYS = ("quantity", "split", "direction", "unit", "low", "high", "group")
_ENUMS: dict[str, type[StrEnum]] = {"quantity": Quantity, "split": Split, "direction": Direction}
_SPLITS = {**dict.fromkeys(TRAIN, "train"), **dict.fromkeys(VALIDATION, "validation")}


def declared(name: str, said: object, values: Sequence[float] = ()) -> Role:
    """The role that somebody declared: a quantity's name, or a table of the fields of :class:`Role`.

    Raises:
        BadValueError: an unknown field or value, a direction that contradicts the quantity, values out of range.
    """
    table: Mapping[str, object] = said if isinstance(said, Mapping) else {"quantity": said}
    key = f"roles.{name}"
    for field in table:
        if field not in _KEYS:
            raise BadValueError(key, f"no such field {field!r}", nearest(str(field), _KEYS))
    guess = by_name(name)
    found: dict[str, object] = {}
    for field, kind in _ENUMS.items():
        if field in table:
            found[field] = _member(key, kind, table[field])
    role = _filled(replace(guess, quantity=found.get("quantity", guess.quantity)))  # type: ignore[arg-type]
    direction = found.get("direction")
    if (
        direction is not None
        and Direction.UNKNOWN not in (direction, role.direction)
        and direction is not role.direction
    ):
        fix = f"Where {name} is another quantity say so, too: quantity=..., of {', '.join(sorted(Quantity))}."
        raise BadValueError(key, f"{role.quantity} is better {role.direction}, got direction {direction}", fix)
    numbers = {field: _bound(key, field, table[field]) for field in ("low", "high") if field in table}
    if numbers.get("low", -math.inf) > numbers.get("high", math.inf):
        raise BadValueError(key, f"expected low to be at most high, got {numbers['low']:g} and {numbers['high']:g}")
    texts = {field: str(table[field]) for field in ("unit", "group") if field in table}
    role = replace(role, **found, **numbers, **texts, declared=True)  # type: ignore[arg-type]
    if role.unit == "%" and not numbers and role.quantity is Quantity.ACCURACY:
        role = replace(role, high=100.0)
    outside = next((value for value in values if math.isfinite(value) and not role.low <= value <= role.high), None)
    if outside is not None and numbers:
        raise BadValueError(key, f"declared {role.low:g} to {role.high:g}, and {outside:g} is recorded")
    return role


def _member(key: str, kind: type[StrEnum], value: object) -> StrEnum:
    text = str(value).lower().replace("_", " ")
    if kind is Split:
        text = _SPLITS.get(text, text)
    names = [member.value for member in kind]
    if text not in names:
        raise BadValueError(key, f"no such {kind.__name__.lower()} {value!r}", nearest(text, names))
    return kind(text)


def _bound(key: str, field: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise BadValueError(key, f"{field}: expected a number, got {value!r}")
    return float(value)


def role(name: str, values: Sequence[float] = (), said: object = None) -> Role:
    """The role of a metric: as declared, else from its name and values."""
    return declared(name, said, values) if said is not None else by_values(by_name(name), values)


EVALUATED = (Quantity.ACCURACY, Quantity.SCORE, Quantity.ERROR, Quantity.R2, Quantity.PERPLEXITY)


def _beside_validation(role: Role, roles: Sequence[Role]) -> bool:
    """Whether the same is recorded of validation, as accuracy and val_accuracy are, and not of training as well."""
    splits = {r.split for r in roles if (r.quantity, r.group) == (role.quantity, role.group)}
    last = words(role.name)[-1:]
    same = any(r.split is Split.VALIDATION and words(r.name)[1:] == words(role.name) for r in roles)
    return bool(last) and same and Split.TRAIN not in splits


def settle(roles: Sequence[Role]) -> dict[str, Role]:
    """Roles of all metrics of a run, each looked at beside the others.

    A loss without a split is the training loss where the run trains at all. Of several losses of one split the plain
    one is the loss; the others are terms, or, beside a plain one that is missing, losses of several evaluation sets.
    """
    found: dict[str, Role] = {}
    plain = {r.split for r in roles if r.quantity is Quantity.LOSS and not r.group}
    adversarial = adversaries(r.name for r in roles)
    for each in roles:
        now = each
        if now.declared:
            found[now.name] = now
            continue
        if now.quantity is Quantity.UNKNOWN and distance_of_samples(now.name, adversarial):
            now = _filled(replace(now, quantity=Quantity.ERROR))
        if now.quantity is Quantity.LOSS and now.split is Split.NONE:
            taken = any(r.quantity is Quantity.LOSS and r.split is Split.TRAIN and not r.group for r in roles)
            now = replace(now, split=Split.TRAIN)
            if taken:
                now = replace(now, quantity=Quantity.TERM, direction=Direction.UNKNOWN)
        if now.quantity is Quantity.LOSS and now.group and now.split is not Split.VALIDATION and now.split in plain:
            now = replace(now, quantity=Quantity.TERM, direction=Direction.UNKNOWN)
        if now.split is Split.NONE and now.quantity in EVALUATED and _beside_validation(now, roles):
            now = replace(now, split=Split.TRAIN)
        if now.quantity in (Quantity.LEARNING_RATE, Quantity.GRAD_NORM):
            now = replace(now, split=Split.TRAIN)
        found[now.name] = now
    return found
