"""Two configurations side by side: dotted keys, equality of values, and the factors that differ in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

ABSENT = "absent"


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every leaf; lists are leaves."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def same(got: object, wanted: object) -> bool:
    """Equal as settings: 20 is 20.0, True is not 1."""
    if isinstance(got, bool) or isinstance(wanted, bool):
        return got is wanted
    if isinstance(got, int | float) and isinstance(wanted, int | float):
        return math.isclose(got, wanted, rel_tol=1e-9)
    if isinstance(got, list | tuple) and isinstance(wanted, list | tuple):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    return got == wanted


def shown(value: object) -> str:
    """A setting as a suite file writes it, about."""
    if value is ABSENT:
        return ABSENT
    return f"{value:g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)


def factors(
    got: Mapping[str, Any], wanted: Mapping[str, Any], *, ignore: Collection[str] = ()
) -> list[tuple[str, object, object]]:
    """``(key, got, wanted)`` of every dotted key whose value differs or is there on one side only.

    An option that is None on one side and absent on the other is off on both: one that came later changes nothing.

    Args:
        ignore: dotted keys or tables that do not count.
    """
    left, right = dict(flat(got)), dict(flat(wanted))
    return [
        (key, left.get(key, ABSENT), right.get(key, ABSENT))
        for key in dict.fromkeys((*right, *left))
        if not any(key == name or key.startswith(f"{name}.") for name in ignore)
        and not (key in left and key in right and same(left[key], right[key]))
        and (left.get(key) is not None or right.get(key) is not None)
    ]
