"""Schedulers that are stepped on although another optimizer took the place of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Replaced:
    """Remembers how far the schedulers of former optimizers had got when these were replaced."""

    def __init__(self) -> None:
        self._reached: WeakKeyDictionary[LRScheduler, int] = WeakKeyDictionary()
        self.count = 0

    def by_another(self, former: Iterable[Optimizer], schedulers: Iterable[LRScheduler]) -> int:
        """Steps that schedulers of other optimizers of the same parameters made since the last replacement."""
        self.count += 1
        gone = list(former)
        steps = 0
        for scheduler in schedulers:
            if any(scheduler.optimizer is item for item in gone):
                now = int(scheduler.last_epoch)
                steps += max(0, now - self._reached.get(scheduler, now))
                self._reached[scheduler] = now
        return steps
