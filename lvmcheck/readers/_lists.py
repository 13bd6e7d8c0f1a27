"""Lists of values by metric, as one run: lists of other lengths are other phases, steps of the same epochs, or runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from lvmcheck.errors import InputError, excerpt, several
from lvmcheck.readers._columns import axes, folded
from lvmcheck.readers._numbers import NotANumberError, number, whole
from lvmcheck.run.curves import PRIMARY
from lvmcheck.run.role_names import TRAIN, VALIDATION, Quantity
from lvmcheck.run.roles import by_name

Lists = Mapping[str, Sequence[object]]
MAX_DEPTH = 4
SPLITS = TRAIN | VALIDATION | {"history", "metrics", "validation_0", "validation_1", "valid_0", "valid_1"}
"""Keys of objects that divide the metrics of one run; any other is the name of a run."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows made of lists, what was left out, and single numbers that stand beside them."""

    rows: list[dict[str, object]]
    notes: list[str] = field(default_factory=list)
    beside: dict[str, float] = field(default_factory=dict)


def by_metric(body: object, run: str | None) -> Listed | None:
    """``{"loss": [..], "val_loss": [..]}``, as Keras keeps a history, as rows; None where there is no list of numbers.

    Raises:
        InputError: no such run.
    """
    rounds = _by_round(body)
    if rounds:
        return Listed(rounds)
    runs = {name: found for name, found in _runs(body) if found}
    if not runs:
        return None
    groups = [(name, lists) for found, of in runs.items() for name, lists in _groups(found, of)]
    chosen = _chosen(groups, run)
    others = [f"{name} ({len(lists)} lists of {_most(lists)})" for name, lists in groups if name != chosen[0]]
    rows, notes = _rows(chosen[1])
    if others:
        notes = [f"judged: {chosen[0]}; left out, which --run NAME selects: {several(others, 4)}", *notes]
    beside = dict(_beside(body)) if isinstance(body, Mapping) else {}
    return Listed(rows, notes, beside)


def _by_round(body: object) -> list[dict[str, object]]:
    """Lists of ``[round, value]``, as Flower keeps a history, as rows; those of round 0 are left out."""
    found: dict[int, dict[str, object]] = {}
    for name, pairs in _pairs(body):
        for at, value in pairs:
            if at > 0:
                found.setdefault(int(at), {"epoch": at})[name] = value
    return [found[at] for at in sorted(found)]


def _pairs(body: object, above: str = "", depth: int = 1) -> Iterator[tuple[str, Sequence[Sequence[float]]]]:
    for key, value in body.items() if isinstance(body, Mapping) else ():
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            yield from _pairs(value, f"{above}{key}/", depth + 1)
        elif isinstance(value, list) and value and all(map(_is_pair, value)):
            yield f"{above}{key}", value


def _is_pair(value: object) -> bool:
    """Whether a value is a whole number and another number."""
    pair = isinstance(value, list) and len(value) == 2 and all(isinstance(each, int | float) for each in value)
    return pair and isinstance(value, list) and whole(_number(value[0])) is not None


def _runs(body: object) -> Iterator[tuple[str, dict[str, Sequence[object]]]]:
    """Name -> lists of every run: one, or one for each object of a list or below a key that is no split."""
    if isinstance(body, list):
        for index, entry in enumerate(body, start=1):
            yield str(index), dict(_lists(entry))
        return
    if not isinstance(body, Mapping):
        return
    own = dict(_lists({key: value for key, value in body.items() if not _is_run(key, value)}))
    yield "", own
    if own:
        return
    for key, value in body.items():
        if _is_run(key, value):
            yield str(key), dict(_lists(value))


def _is_run(key: str, value: object) -> bool:
    return isinstance(value, Mapping) and folded(key) not in SPLITS


def _lists(body: object, above: str = "", depth: int = 1) -> Iterator[tuple[str, Sequence[object]]]:
    """Lists that hold a number, by the keys on their way: ``train/loss``."""
    for key, value in body.items() if isinstance(body, Mapping) else ():
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            inner = above if folded(key) in ("history", "metrics") else f"{above}{key}/"
            yield from _lists(value, inner, depth + 1)
        elif isinstance(value, list) and any(_number(each) is not None for each in value):
            yield f"{above}{key}", value


def _number(value: object) -> float | None:
    try:
        return number(value)
    except NotANumberError:
        return None


def _beside(body: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Single numbers of metrics, such as a test accuracy."""
    for name, value in body.items():
        found = None if isinstance(value, str) else _number(value)
        if found is not None and by_name(str(name)).quantity not in (Quantity.UNKNOWN, Quantity.LEARNING_RATE):
            yield str(name), found


# -- lists of several lengths ------------------------------------------------------------------------------------------
def _groups(run: str, lists: Lists) -> list[tuple[str, Lists]]:
    """Lists that belong together, each group with its name: those of one length, and those that fit to them."""
    by_length: dict[int, dict[str, Sequence[object]]] = {}
    for name, values in lists.items():
        by_length.setdefault(len(values), {})[name] = values
    parts: list[Lists] = list(by_length.values())
    fitting = next(((a, b) for a, b in combinations(parts, 2) if _is_course(a) and _is_course(b) and _fit(a, b)), None)
    if fitting is not None:
        parts = [{**fitting[0], **fitting[1]}, *(part for part in parts if part not in fitting)]
    if len(parts) == 1:
        return [(run, parts[0])]
    prefixes = [_prefix(list(part)) for part in parts]
    found: list[tuple[str, Lists]] = []
    for part, prefix in zip(parts, prefixes, strict=True):
        name = prefix.strip("_/.- ") if prefixes.count(prefix) == 1 and prefix else f"{_most(part)}_values"
        named = {key.removeprefix(prefix) or key: values for key, values in part.items()}
        found.append((f"{run}/{name}" if run else name, named))
    return found


def _is_course(lists: Lists) -> bool:
    """Whether a loss or a score is among lists."""
    return any(by_name(name).quantity in (*PRIMARY, Quantity.TERM) for name in lists)


def _prefix(names: Sequence[str]) -> str:
    """What several names begin with, up to a sign between words, where it is no split."""
    first = min(names)
    for end in range(len(first), 0, -1):
        if first[end - 1] in "_/.-" and all(name.startswith(first[:end]) for name in names):
            plain = folded(first[:end]).strip("_")
            return "" if plain in SPLITS or len(names) < 2 else first[:end]
    return ""


def _fit(one: Lists, other: Lists) -> bool:
    """Whether lists of two lengths are of one course: one value more or less, or so many steps an epoch."""
    short, long = sorted((one, other), key=_most)
    if _is_phase(short, long):
        return False
    few, many = _most(short), _most(long)
    steps = many % few == 0 and any(map(_is_validation, short)) and not any(map(_is_validation, long))
    return few > 1 and (many - few == 1 or steps)


def _is_phase(short: Lists, long: Lists) -> bool:
    """Whether the names of one group are those of the other behind or before a common word."""
    pairs = [(a, b) for one, other in ((short, long), (long, short)) for a in one for b in other]
    if any(a.startswith(f"{b}_") and folded(a[len(b) + 1 :]) not in SPLITS for a, b in pairs):
        return True
    return any(
        prefix and {name.removeprefix(prefix) for name in one} & set(other)
        for one, other in ((short, long), (long, short))
        for prefix in [_prefix(list(one))]
    ) or (bool(_prefix(list(short))) and bool(_prefix(list(long))))


def _is_validation(name: str) -> bool:
    return by_name(name).split == "validation"


def _most(lists: Lists) -> int:
    return max(map(len, lists.values()))


def _chosen(groups: Sequence[tuple[str, Lists]], run: str | None) -> tuple[str, Lists]:
    """The group that is asked for, else the one with the longest lists of a loss or a score.

    Raises:
        InputError: none of that name.
    """
    names = [name for name, _ in groups]
    if run is None or len(groups) == 1:
        return max(groups, key=lambda group: (_is_course(group[1]), _most(group[1])))
    found = next((group for group in groups if group[0] == run), None)
    if found is None:
        raise InputError("--run", f"no run {excerpt(run, 40)!r}; runs in this file: {several(names, 6)}")
    return found


# -- rows --------------------------------------------------------------------------------------------------------------
def _rows(lists: Lists) -> tuple[list[dict[str, object]], list[str]]:
    """One row a value of the longest lists; the values of shorter ones where they belong."""
    many, few = _most(lists), min(map(len, lists.values()))
    if few == many:
        return [{name: values[i] for name, values in lists.items()} for i in range(many)], []
    rows: list[dict[str, object]] = [{} for _ in range(many)]
    every = 1 if many - few == 1 else many // few
    late = every == 1 and all(_is_validation(name) for name, values in lists.items() if len(values) == many)
    for name, values in lists.items():
        each = every if len(values) == few else 1
        skipped = 1 if late and len(values) == few else 0
        for i, value in enumerate(values):
            rows[(i + 1) * each - 1 + skipped][name] = value
    if late:
        before = ", ".join(name for name, values in lists.items() if len(values) == many)
        return rows[1:], [f"the first of {many} values of {before} was measured before training: left out"]
    if every == 1:
        return rows, [f"lists of {few} and of {many} values: the last of {many} is an epoch that was not finished"]
    if not axes(lists):
        rows = [{**row, "step": i} for i, row in enumerate(rows, start=1)]
    return rows, [f"lists of {few} and of {many} values: {every} of these for each of those, read as steps"]
