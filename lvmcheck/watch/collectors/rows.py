"""Rows that the model is trained on, by fingerprint: the order of epochs, and batches that repeat."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.utils.data import RandomSampler

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import fingerprints, first_input
from lvmcheck.watch.measure.held import telling

ONE = 3
"""Measured batches that are all the first one, from which there is no other."""


class RowsCollector(Collector):
    """Looks at the first batch of every epoch, and at the batches of sampled steps where an epoch has several.

    Recurrent models may read a text in its own order, and are not asked for another one.
    """

    def start(self, watcher: Loop) -> None:
        self._in_order = any(isinstance(module, nn.RNNBase) for module in watcher.model.modules())
        self._steps = 0
        self._tells: bool | None = None
        self._first: list[float] = []
        self._last: list[float] = []
        self._began = 0
        self._seen_at = -1
        self._equal, self._varied = 0, False  # batches that were the first of their epoch again; another one was seen

    def epoch_began(self, watcher: Loop, inputs: Any) -> None:
        """The first forward pass of an epoch of training."""
        batch = first_input(inputs)
        steps, self._began = watcher.step - self._began, watcher.step
        self._steps = max(self._steps, steps)
        if batch is None or self._in_order:
            return

        meant, shuffles = _own_sampler(watcher), _shuffles(watcher)

        def use(numbers: list[float], step: int) -> None:
            before, self._first = self._first, numbers
            if self._equal >= ONE and not self._varied:
                return  # one batch holds all of the data, and has no order
            if len(before) == len(numbers) and steps > 1 and len(set(numbers)) > 1:
                same = sum(a == b for a, b in zip(before, numbers, strict=True)) / len(numbers)
                values = {"same": same, "rows": len(numbers), "steps": steps, "meant": float(meant)}
                watcher.emit("epoch_order", values, (), step)
                if shuffles:
                    watcher.emit("generator", {"same": float(same == 1), "drawn": 1.0}, (), step)

        watcher.later(fingerprints(batch), use)

    def before_forward(self, watcher: Loop, inputs: Any) -> None:
        batch = first_input(inputs)
        several = self._steps > 1 or (watcher.train is not None and watcher.train.several)
        if batch is None or not several or self._seen_at == watcher.now:
            return
        self._seen_at = watcher.now
        if self._tells is None:
            self._tells = telling(batch)
        tells = float(self._tells)

        def use(numbers: list[float], step: int) -> None:
            same = float(self._last == numbers)
            self._last = numbers
            again = not self._first or numbers == self._first
            self._equal, self._varied = self._equal + again, self._varied or not again
            counts = {"rows": len(numbers), "distinct": len(set(numbers)), "telling": tells}
            watcher.emit("batch", {"same_as_last": same, **counts}, (), step)

        watcher.later(fingerprints(batch), use)


def _own_sampler(watcher: Loop) -> bool:
    """The loader takes its rows by a sampler that is none of torch's: their order is meant."""
    sampler = None if watcher.train is None else getattr(watcher.train.loader, "sampler", None)
    return sampler is not None and not type(sampler).__module__.startswith("torch.")


def _shuffles(watcher: Loop) -> bool:
    """The loader is meant to draw a new order in every epoch."""
    sampler = None if watcher.train is None else getattr(watcher.train.loader, "sampler", None)
    return isinstance(sampler, RandomSampler) or bool(getattr(sampler, "shuffle", False))
