"""The collectors of a watcher, each asked only for what it does; one that fails is asked no more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.guard import Guard
from lvmcheck.watch.measure.leaving import leave_late


class Team:
    """Collectors that are asked in turn.

    Those that open a mode come last after a forward pass and first everywhere else, so that no other measures in it.

    Args:
        collectors: in their order.
        watcher: what they are asked about.
    """

    def __init__(self, collectors: Sequence[Collector], watcher: Any, guard: Guard) -> None:
        self._collectors = list(collectors)
        self._watcher, self._guard = watcher, guard
        self._started = False
        self._doing: dict[str, list[tuple[Collector, Callable[..., None]]]] = {}

    @torch.no_grad()
    def ask(self, method: str, *more: Any) -> None:
        """Call that method of every collector that has one of its own, of none before its start."""
        leave_late()
        self._started = self._started or method == "start"
        for collector, do in tuple(self._asked(method)) if self._started else ():
            try:
                do(self._watcher, *more)
            except Exception as problem:
                self._without(collector)
                self._guard.failed(type(collector).__name__, problem)

    def _asked(self, method: str) -> list[tuple[Collector, Callable[..., None]]]:
        found = self._doing.get(method)
        if found is None:
            last = method in ("after_forward", "after_part")
            order = sorted(self._collectors, key=lambda collector: collector.opens is last)
            own = [item for item in order if getattr(type(item), method) is not getattr(Collector, method)]
            found = self._doing[method] = [(item, getattr(item, method)) for item in own]
        return found

    def _without(self, collector: Collector) -> None:
        """What it has put is taken back, and it is asked no more."""
        self._collectors = [item for item in self._collectors if item is not collector]
        self._doing = {}
        with contextlib.suppress(Exception):
            collector.after_sample(self._watcher)
        with contextlib.suppress(Exception):
            collector.finish(self._watcher)
