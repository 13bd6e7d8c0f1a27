"""The rows of the loaders that a loop iterates over, where nobody has named them: repeats, targets, leaks, changes."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.association import association, lags
from lvmcheck.watch.measure.held import repeats, sorted_by
from lvmcheck.watch.measure.stored import Stored, change, in_order, iterated, safely, shared, stored

LOOKS, EVALUATIONS = 4, 2
"""Times that it is looked what evaluations iterate over, and evaluations after which what was found is said."""


class FoundRowsCollector(Collector):
    """Looks who iterates over a loader when training begins, and when evaluations do; no row is asked for.

    Of several that are at work when training begins none is meant for sure. Rows of validation count as seen in
    training where those of every evaluated data set do: a loop may evaluate training rows beside.
    """

    def start(self, watcher: Loop) -> None:
        self._watcher = watcher
        self._begun = self._said = not watcher.found
        self._train: Stored | None = None
        self._dataset: Any = lambda: None
        self._content: Tensor | None = None
        self._evaluated: list[Stored] = []
        self._known: list[Any] = []
        self._looks = LOOKS
        self._evaluations = 0
        self._handle: Any = None

    def epoch_began(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        if not self._begun:
            self._begun = True
            found = iterated()
            if len(found) == 1 and watcher.train is None:
                self._begin(watcher, found[0])
        elif self._train is not None and self._content is not None:
            before, self._content = self._content, self._train.few()
            if before.shape == self._content.shape:
                watcher.emit("rows_kept", change(before, self._content))

    def _begin(self, watcher: Loop, iterator: Any) -> None:
        found = self._train = stored(iterator)
        if found is None:
            return
        self._dataset = weakref.ref(iterator._dataset)
        self._content = found.few()
        inputs, *targets = found.used
        target = targets[0] if targets else None
        self._say("data_repeats", safely(lambda: repeats(inputs, target)))
        if in_order(iterator) and not any(isinstance(module, nn.RNNBase) for module in watcher.model.modules()):
            steps = float(len(iterator))
            self._say("data_order", safely(lambda: {"sorted": sorted_by(target), "steps": steps}))
        hook = watcher.guard.hook("loaders of evaluations", self._evaluates)
        self._handle = watcher.parts[0].register_forward_pre_hook(hook)

    def _evaluates(self, _module: nn.Module, _args: Any) -> None:
        at_work = [known for known in self._known if known() is not None]
        if torch.is_grad_enabled() or not self._watcher.step or not self._looks or at_work:
            return
        self._looks -= 1
        others = [item for item in iterated() if item._dataset is not self._dataset()]
        self._known = [weakref.ref(item) for item in others]
        for item in others:
            found = stored(item)
            if found is not None:
                self._evaluated.append(found)

    def evaluation_ended(self, watcher: Loop) -> None:  # noqa: ARG002
        self._evaluations += bool(self._evaluated)
        if self._evaluations >= EVALUATIONS:
            self._compare()

    def _compare(self) -> None:
        if self._said or self._train is None:
            return
        self._said, self._looks = True, 0
        train = self._train.used
        found = [safely(partial(shared, train[0], other.used[0])) for other in self._evaluated]
        if found and all(found):
            self._say("leak", min(found, key=lambda values: values["in_train"] / max(1.0, values["rows"])))
        pairs = [other.used for other in self._evaluated]
        other = next((pair for pair in pairs if len(pair) > 1 and pair[0].shape[1:] == train[0].shape[1:]), None)
        if len(train) < 2 or not train[0].is_floating_point():
            return
        if train[1].ndim == 2 and train[1].shape[1] > 1:
            self._say("target_lag", {} if other is None else safely(lambda: lags(train, other, 1)))
        else:
            self._say("association", safely(lambda: association(train, other)))

    def _say(self, name: str, values: dict[str, float]) -> None:
        if values:
            self._watcher.emit(name, values, (), self._watcher.step)

    def finish(self, watcher: Loop) -> None:  # noqa: ARG002
        self._compare()
        if self._handle is not None:
            self._handle.remove()
        self._train, self._evaluated, self._known, self._content = None, [], [], None
