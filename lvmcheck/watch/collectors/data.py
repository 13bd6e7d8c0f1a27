"""The rows behind the observed loaders: scale, repeats, targets that belong to them, order, and whether they stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.association import association, lags
from lvmcheck.watch.measure.batches import fingerprints
from lvmcheck.watch.measure.draws import frozen_draws, holds_generator, read_rows
from lvmcheck.watch.measure.held import columns, held_tensors, repeats, scales, sorted_by
from lvmcheck.watch.measure.stored import KEPT, change
from lvmcheck.watch.slot import Slot

TARGETS = 3
"""Tensors beside the inputs that may be targets."""


class DataCollector(Collector):
    """Looks once when training begins, and at a few rows whenever an epoch begins."""

    def start(self, watcher: Loop) -> None:  # noqa: ARG002
        self._begun = False
        self._rows: Tensor | None = None
        self._inputs: Tensor | None = None
        self._states: list[int] = []
        self._at = self._drawn = 0

    def epoch_began(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        self._generator(watcher)
        if not self._begun:
            self._begun = True
            self._begin(watcher)
        elif self._inputs is not None and self._rows is not None:
            rows, self._rows = self._rows, columns(self._few(self._inputs))
            watcher.emit("rows_kept", change(rows, self._rows))

    def _generator(self, watcher: Loop) -> None:
        """Whether the generator of torch is where it was when an earlier epoch began, though it was drawn from."""
        state = hash(torch.get_rng_state().numpy().tobytes())
        if self._states and watcher.step > self._at:
            drawn = float(self._drawn != self._states[-1])
            values = {"same": float(state in self._states), "drawn": drawn}
            watcher.emit("generator", values)
        self._states.append(state)
        self._at = watcher.step
        self._drawn = state

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        if slot is watcher.slots[0] and self._states and self._drawn == self._states[-1]:
            self._drawn = hash(torch.get_rng_state().numpy().tobytes())

    def _begin(self, watcher: Loop) -> None:
        loader = None if watcher.train is None else watcher.train.loader
        if loader is None:
            return
        held, val = held_tensors(loader), None if watcher.val is None else held_tensors(watcher.val.loader)
        stored = held is not None
        if held is None:
            self._augmentation(watcher, loader)
            held = read_rows(getattr(loader, "dataset", None))
        if val is None and watcher.val is not None:
            val = read_rows(getattr(watcher.val.loader, "dataset", None))
        if held is None or not held[0].ndim:
            return
        if not stored and val is not None:
            self._say(watcher, "leak", lambda: _leak(held, val))
        target = held[-1] if len(held) > 1 else None
        floats = [sets for sets in (held, val or []) if sets and sets[0].is_floating_point()]
        if len(floats) == 2:
            self._say(watcher, "data_scale", lambda: scales(floats[0][0], floats[1][0]))
        self._say(watcher, "data_repeats", lambda: repeats(held[0], target))
        for at in range(1, min(len(held), 1 + TARGETS)):
            self._targets(watcher, held, val, at)
        kept = isinstance(getattr(loader, "sampler", None), SequentialSampler)
        if kept and not any(isinstance(module, nn.RNNBase) for module in watcher.model.modules()):
            self._say(watcher, "data_order", lambda: {"sorted": sorted_by(target), "steps": float(len(loader))})
        if stored and held[0].is_floating_point() and len(held[0]) >= 2:
            self._inputs = held[0]
            self._rows = columns(self._few(held[0]))

    def _augmentation(self, watcher: Loop, loader: Any) -> None:
        dataset, workers = getattr(loader, "dataset", None), getattr(loader, "num_workers", 0)
        if workers > 1 and getattr(loader, "worker_init_fn", None) is None and holds_generator(dataset):
            watcher.emit("augmentation", {"draws": 1.0, "same": 1.0, "workers": float(workers)})
        else:
            self._say(watcher, "augmentation", lambda: frozen_draws(dataset))

    def _targets(self, watcher: Loop, held: list[Tensor], val: list[Tensor] | None, at: int) -> None:
        """Whether one of the targets belongs to the inputs."""
        other = None if val is None or len(val) <= at else [val[0], val[at]]
        if held[at].ndim == 2 and held[at].shape[1] > 1 and other is not None:
            self._say(watcher, "target_lag", lambda: lags([held[0], held[at]], other, 1))
        else:
            self._say(watcher, "association", lambda: association([held[0], held[at]], other))

    @staticmethod
    def _few(inputs: Tensor) -> Tensor:
        return inputs[:: max(1, len(inputs) // KEPT)][:KEPT].detach().clone()

    @staticmethod
    def _say(watcher: Loop, name: str, measure: Callable[[], Mapping[str, float]]) -> None:
        try:
            found = measure()
        except (RuntimeError, ValueError, TypeError):  # shapes or types that mean something else
            return
        if found:
            watcher.emit(name, found)


def _leak(train: list[Tensor], val: list[Tensor]) -> dict[str, float]:
    """How many validation rows are among those of training, as far as both were read."""
    one, other = (set(fingerprints(held[0], len(held[0])).tolist()) for held in (train, val))
    repeated = 1 - len(one) / len(train[0])
    return {"rows": len(other), "in_train": len(one & other), "train_rows": len(one), "repeated": repeated}
