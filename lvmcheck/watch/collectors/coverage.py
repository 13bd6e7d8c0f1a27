"""Which parameters the optimizers hold, which were frozen since, and which ties still hold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.coverage import Coverage, coverage, unregistered
from lvmcheck.watch.measure.modules import own, tied
from lvmcheck.watch.slot import Slot

AGAIN = 5
"""Samples in a row in which a parameter must be frozen."""


class CoverageCollector(Collector):
    """Says it at the start, and again when something has changed.

    What is in no optimizer is said before the first step, when it is known which parameters have a gradient: those
    that the loss does not use may be left out. What is frozen between ``watch`` and the first step is frozen on
    purpose.
    """

    def start(self, watcher: Loop) -> None:
        self._trainable: set[str] | None = None
        self._tied = tied(watcher.model)
        self._frozen: dict[str, int] = {}
        self._last: Coverage | None = None
        self._key: tuple[object, ...] = ()
        self._found: Coverage | None = None
        self._counted: Coverage | None = None
        self._now: set[str] = set()
        self._missing: tuple[str, ...] | None = None
        self._unregistered = unregistered(watcher.model)
        self._say(watcher)
        copied = _copied(watcher.model)
        watcher.emit("ties", {"tied": len(self._tied), "untied": 0, "copied": len(copied)}, copied)

    def before_sample(self, watcher: Loop) -> None:
        self._say(watcher)

    def _look(self, watcher: Loop) -> Coverage:
        """What the optimizers hold; told anew where parameters, groups or ``requires_grad`` are others."""
        groups = [list(map(id, group["params"])) for slot in watcher.slots for group in slot.optimizer.param_groups]
        key = (groups, [(id(p), p.requires_grad) for p in watcher.model.parameters()])
        if self._found is None or self._key != key:
            self._key, self._found = key, coverage(watcher.model, [slot.optimizer for slot in watcher.slots])
        return self._found

    def _say(self, watcher: Loop) -> None:
        found = self._look(watcher)
        if self._last == found:
            return
        self._last = found
        total = len(found.trainable)
        if not found.missing:
            self._missing = ()
            watcher.emit("coverage", {"trainable": total, "missing": 0, "unused": 0}, ())
        watcher.emit("held_twice", {"held": total, "twice": len(found.twice)}, found.twice)
        foreign = {"foreign": len(found.foreign), "missing": len(found.missing), "replaced": found.replaced}
        watcher.emit("foreign", foreign, found.foreign)

    def before_step(self, watcher: Loop, slot: Slot) -> None:  # noqa: ARG002
        if self._found is None or self._found.missing or self._unregistered or self._missing:
            known = {**self._unregistered, **dict(watcher.model.named_parameters())}
            self._say_missing(watcher, lambda name: known[name].grad is not None)

    def finish(self, watcher: Loop) -> None:
        if self._missing is None:  # no step was seen
            self._say_missing(watcher, lambda _: True)

    def _say_missing(self, watcher: Loop, used: Callable[[str], bool]) -> None:
        found = self._look(watcher)
        held = {id(p) for slot in watcher.slots for group in slot.optimizer.param_groups for p in group["params"]}
        outside = [name for name, p in self._unregistered.items() if p.requires_grad and id(p) not in held]
        missing = tuple(filter(used, (*found.missing, *outside)))
        if not (found.missing or missing) or missing == self._missing:
            return
        self._missing = missing
        counts = {"missing": len(missing), "unused": len(found.missing) + len(outside) - len(missing)}
        total = len(found.trainable) + len(outside)
        watcher.emit("coverage", {"trainable": total, **counts}, missing)

    def after_sample(self, watcher: Loop) -> None:
        model = watcher.model
        found = self._look(watcher)
        if found is not self._counted:
            self._counted, self._now = found, set(found.trainable)
            self._trainable = (self._trainable or set()) | self._now
        trainable = self._now
        gone = (self._trainable or set()) - trainable
        if gone:  # what is no longer there, or has another name, as after pruning, is not frozen
            gone &= {name for name, _ in model.named_parameters(remove_duplicate=False)}
        self._frozen = {name: self._frozen.get(name, 0) + 1 for name in gone}
        long = [name for name, count in self._frozen.items() if count >= AGAIN]
        kept = 0
        if long:
            known = dict(model.named_parameters())
            held = {id(p) for slot in watcher.slots for group in slot.optimizer.param_groups for p in group["params"]}
            kept = sum(id(known.get(name)) in held for name in long)
        watcher.emit("freezing", {"trainable": len(trainable), "frozen_since": len(long), "held": kept}, long)
        if self._tied:
            known = dict(model.named_parameters(remove_duplicate=False))
            parted = [names[0] for names in self._tied.values() if len({id(known.get(name)) for name in names}) > 1]
            watcher.emit("ties", {"tied": len(self._tied), "untied": len(parted), "copied": 0}, parted)


@torch.no_grad()
def _copied(model: nn.Module) -> list[str]:
    """Output layers with the values of an embedding and storage of their own: tied by a copy, so not tied."""
    tables = [own(m, "weight") for m in model.modules() if isinstance(m, nn.Embedding)]
    outputs = [(name, own(m, "weight")) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    return [
        f"{name}.weight"
        for name, weight in outputs
        for table in tables
        if weight is not None
        and table is not None
        and weight is not table
        and weight.shape == table.shape
        and weight.device == table.device
        and weight.data_ptr() != table.data_ptr()
        and bool(torch.equal(weight, table))
    ]
