"""Pre-flights that wait for their run: it is recorded after them, and watches their model or watches none."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PREFLIGHT = "preflight"
"""Name of the measurement that says what a pre-flight found: ``probe:code`` of each probe that failed."""


class Waiting:
    """What one pre-flight found, until the run of its model is recorded."""

    def __init__(self, model: Any, subjects: Sequence[str], values: Mapping[str, float]) -> None:
        self.model = weakref.ref(model)
        self.subjects, self.values = tuple(subjects), dict(values)


_WAITING: dict[str, Waiting] = {}
"""Name of a model's class -> its last pre-flight; an earlier one, of a model that was mended, no longer counts."""


def leave(found: Waiting) -> None:
    """Keep what was found for the run that follows."""
    model = found.model()
    if model is not None:
        _WAITING[type(model).__name__] = found


def waits() -> bool:
    """Whether any pre-flight waits for its run."""
    return bool(_WAITING)


def take(model: Any = None) -> Iterator[Waiting]:
    """What waits for this model, or without one for any that still exists; it waits no longer."""
    for name, found in list(_WAITING.items()):
        alive = found.model()
        if alive is None or model is None or alive is model:
            del _WAITING[name]
            if alive is not None:
                yield found
