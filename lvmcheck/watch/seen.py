"""Objects that were seen, which are not kept alive."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any


class Seen:
    """Objects by identity, of which none is kept alive."""

    def __init__(self) -> None:
        self._known: dict[int, weakref.ref[Any]] = {}

    def add(self, *items: Any) -> None:
        self._known.update((id(item), weakref.ref(item)) for item in items)

    def __contains__(self, item: Any) -> bool:
        known = self._known.get(id(item))
        return known is not None and known() is item

    def __iter__(self) -> Iterator[Any]:
        return (item for known in self._known.values() if (item := known()) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
