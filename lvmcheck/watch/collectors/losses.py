"""What the functions of torch.nn.functional that make a loss are given on a sampled step, for every term of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lvmcheck.watch.budget import rests
from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import first_input, main_output, tensors
from lvmcheck.watch.measure.class_weights import KEYS, ClassWeights
from lvmcheck.watch.measure.columns import KEYS as COLUMNS
from lvmcheck.watch.measure.columns import Columns
from lvmcheck.watch.measure.frequencies import VARIANCE, Frequencies, Variance
from lvmcheck.watch.measure.loss_calls import BINARY, DIFFERENCES, SQUARES, Call, LossCalls, alike, compiling, judged
from lvmcheck.watch.measure.mirrored import AXES, Mirrored
from lvmcheck.watch.measure.mirrored import KEYS as MIRRORED
from lvmcheck.watch.measure.mirrored import ROWS as ROWS_OF_IMAGES
from lvmcheck.watch.measure.modules import compiled
from lvmcheck.watch.measure.outputs import views_apart
from lvmcheck.watch.measure.scored import Kinds, copied, padding, sides
from lvmcheck.watch.measure.shifts import SHIFTS, agreements, tokens_of
from lvmcheck.watch.slot import Slot

FROM, INPUTS, OUTPUTS, CALLS, ROWS = 2, 4, 4, 24, 8
"""Step from which calls are seen; inputs, outputs and calls of one step that are measured; rows of embeddings."""
VIEWS, UNIT, SURE, PURE, ENOUGH = 2, 1e-3, 0.98, 8, 100
"""Views of a batch; how far rows are from length 1, how often targets are shifted tokens, rows from which one
class is no chance, and steps after which columns are compared."""

NOT_KEPT: Any = dict.fromkeys(("classes", "embedding", "given", "plain", "asked", "squared", "picture", "table"))

FREQUENCIES = ("entropy", "rows", "classes", "loss")


class LossesCollector(Collector):
    """Opens a mode from the forward pass to the step of sampled steps; inside of the model it sees nothing."""

    opens = True

    def start(self, watcher: Loop) -> None:  # noqa: ARG002
        self._mode: LossCalls | None = None
        self._calls: list[Call] = []
        self._embeddings: list[Any] = []
        self._began: float | None = None
        self._tokens: Tensor | None = None
        self._shares: Tensor | None = None
        self._inputs: list[Tensor] = []
        self._images: list[Tensor] = []
        self._table: Tensor | None = None
        self._sides: Tensor | None = None
        self._labels: Tensor | None = None
        self._kinds = Kinds()
        self._pure: set[float] = set()
        self._padding: Tensor | None = None
        self._copied: Tensor | None = None
        self._targets_given = self._samples = 0
        self._frequencies, self._weights, self._variance = Frequencies(), ClassWeights(), Variance()
        self._mirrored, self._columns = Mirrored(), Columns()
        self._tables: list[tuple[Tensor, Tensor]] = []
        self._squared: list[tuple[Tensor, Tensor]] = []
        self._batch: int | None = None
        self._weighed = False
        self._plain: list[tuple[Tensor, int, Tensor, int]] = []
        self._pairs: Tensor | None = None
        self._views: list[Tensor] = []

    def before_sample(self, watcher: Loop) -> None:
        self._clear()
        self._samples += 1
        if watcher.now >= FROM and not compiled(watcher.model) and not compiling():
            self._mode = LossCalls(watcher.guard.hook("losses", self._seen))

    def _seen(self, call: Call) -> None:
        if len(self._calls) < CALLS:
            # What is measured now is not kept.
            self._calls.append(replace(call, **NOT_KEPT))
            if call.picture is not None and not rests(self._samples) and not self._asked_for_an_input(call.picture[1]):
                self._mirrored.add(call.name, call.picture)
            if call.table is not None:
                self._tables.append(call.table)
            if call.asked is not None and not self._weighed:
                self._weighed = True
                self._weights.add(*call.asked, self._batch)
            if call.squared is not None:
                self._squared.append(call.squared)
            if call.plain is not None:
                self._plain.append(call.plain)
            self._pairs = call.pairs if self._pairs is None else self._pairs
            if call.classes is not None and self._tokens is not None and self._shares is None:
                self._shares = agreements(self._tokens, *call.classes)
            if call.classes is not None and call.scored and self._padding is None:
                self._padding = padding(self._inputs, *call.classes)
            self._targets_given += call.given is not None
            if self._table is not None and self._targets_given == 1 and not rests(self._samples):
                self._copied = copied(self._table, call.given)
            if self._sides is None and call.name in BINARY:
                self._sides = sides(call.given)
            if self._labels is None and call.classes and call.asked and call.plain is None:  # else the gradient tells
                self._labels = self._kinds.add(call.asked[0][:1], *call.classes)
            if call.embedding is not None and len(call.embedding) >= ROWS and len(self._embeddings) < OUTPUTS:
                self._embeddings.append(alike(call.embedding))

    def _asked_for_an_input(self, target: Tensor) -> bool:
        return any(item.shape == target.shape and item.data_ptr() == target.data_ptr() for item in self._images)

    def before_forward(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        self._tokens = tokens_of(inputs)
        batch = first_input(inputs)
        self._batch = None if batch is None else len(batch)
        if self._mode is not None:
            self._inputs = [tensor for tensor in tensors(inputs) if tensor.ndim == 2][:INPUTS]
            self._images = [tensor[:ROWS_OF_IMAGES] for tensor in tensors(inputs) if tensor.ndim == 4][:INPUTS]
            self._table = next((tensor.flatten(1) for tensor in tensors(inputs) if tensor.ndim in (2, 3)), None)
        if self._mode is not None:
            self._mode.close()

    def before_part(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        if self._mode is not None:
            self._mode.close()

    def after_forward(self, watcher: Loop, inputs: Any, output: Any) -> None:  # noqa: ARG002
        out = main_output(output) if self._mode is not None else None
        if out is not None and out.ndim == 2 and len(self._views) <= VIEWS:
            self._views.append(out.detach())
        self.after_part(watcher, output)

    def after_part(self, watcher: Loop, output: Any) -> None:
        if self._mode is None:
            return
        for tensor in tensors(output):
            table = tensor.ndim == 2 and len(tensor) >= ROWS and tensor.shape[1] > 1 and tensor.requires_grad
            if table and len(self._embeddings) < OUTPUTS:
                self._embeddings.append(alike(tensor))
        if not any(slot.closure for slot in watcher.slots):  # then it would be open in the optimizer's own steps
            self._mode.open()

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        if self._mode is None or slot is not watcher.slots[0]:
            return
        self._mode.close()
        self._frequencies.add(self._plain)
        self._variance.add(self._squared)
        if len(self._tables) == 1:
            self._columns.add(self._tables[0])
        calls, self._calls = self._calls, []
        for call in calls:
            # Correlations between features are taken over the batch as well: those of pairs are not.
            alone = "over_batch" in call.flags and self._pairs is None
            self._say(watcher, replace(call, flags=call.flags - {"over_batch"}) if alone else call)
        if self._pairs is not None and (apart := views_apart(self._views)) is not None:
            self._emit(watcher, "views", torch.stack([apart, self._pairs[0].to(apart)]), ("apart", "pairs"))
        if self._pairs is not None:
            self._emit(watcher, "similarities", self._pairs, ("pairs", "range"))
        self._targets(watcher, [call for call in calls if call.name in SQUARES])
        if self._embeddings:
            self._alike(watcher)
        if self._shares is not None:
            self._shifted(watcher, self._shares)
        if self._padding is not None:
            self._emit(watcher, "padding", self._padding, ("share", "rows", "lengths"))
        if self._copied is not None and self._targets_given == 1:  # of several terms one may ask for an input
            self._emit(watcher, "target_copied", self._copied, ("apart", "column"))

        if self._labels is not None:
            self._emit(watcher, "labels", self._labels, ("distinct", "rows", "seen", "classes"))
        if self._sides is not None:
            self._mixed(watcher, self._sides)

    def _mixed(self, watcher: Loop, measured: Tensor) -> None:
        """Whether a batch is all of one of two classes, where others were all of the other: rare ones are no order."""

        def use(numbers: list[float], step: int) -> None:
            share, rows = numbers
            if share == share and rows >= PURE:
                self._pure |= {share} & {0.0, 1.0}
                one = share in (0.0, 1.0) and len(self._pure) > 1
                values = {"distinct": 2.0 - one, "rows": rows, "seen": 2.0, "classes": 2.0}
                watcher.emit("labels", values, (), step)

        watcher.later(measured, use)

    @staticmethod
    def _emit(watcher: Loop, name: str, measured: Tensor, keys: tuple[str, ...]) -> None:
        watcher.later(measured, lambda numbers, at: watcher.emit(name, dict(zip(keys, numbers, strict=True)), (), at))

    def _shifted(self, watcher: Loop, shares: Tensor) -> None:
        """By how many positions the targets are the tokens."""

        def use(numbers: list[float], step: int) -> None:
            best = max(range(len(SHIFTS)), key=numbers.__getitem__)
            if numbers[best] >= SURE:
                watcher.emit("target_shift", {"shift": float(SHIFTS[best])}, (), step)

        watcher.later(shares, use)

    def _say(self, watcher: Loop, call: Call) -> None:
        measured, name = call.measured, "a subtraction" if call.name in DIFFERENCES else call.name
        if measured is None:
            watcher.emit("loss_input", judged(call, []), (name,))
            return

        def use(numbers: list[float], step: int) -> None:
            watcher.emit("loss_input", judged(call, numbers), (name,), step)

        watcher.later(measured, use)

    def _targets(self, watcher: Loop, calls: list[Call]) -> None:
        """Whether all regressions of the step have one and the same target."""
        ranges = [call.target for call in calls if call.target is not None]
        if not ranges or len(ranges) < len(calls):
            return

        def use(numbers: list[float], step: int) -> None:
            low, high = min(numbers), max(numbers)
            constant = low == high and low not in (0.0, 1.0, -1.0)
            watcher.emit("loss_target", {"constant": 1.0, "value": low} if constant else {"constant": 0.0}, (), step)

        watcher.later([value for item in ranges for value in item], use)

    def _alike(self, watcher: Loop) -> None:
        pairs, self._embeddings = self._embeddings, []

        def use(numbers: list[float], step: int) -> None:
            unit = [cosine for cosine, off in zip(numbers[::2], numbers[1::2], strict=True) if off <= UNIT]
            if unit:
                self._began = max(unit) if self._began is None else self._began
                watcher.emit("embeddings", {"alike": max(unit), "began": self._began, "tables": len(unit)}, (), step)

        watcher.later([value for pair in pairs for value in pair], use)

    def finish(self, watcher: Loop) -> None:
        variance = self._variance.measured()
        if variance is not None:
            watcher.emit("target_variance", dict(zip(VARIANCE, variance.tolist(), strict=True)), (), watcher.step)
        weights = self._weights.measured()
        if weights is not None:
            found = {key: n for key, n in zip(KEYS, weights.tolist(), strict=True) if n == n}
            watcher.emit("class_weights", found, (), watcher.step)
        columns = self._columns.measured()
        if columns is not None and watcher.step >= ENOUGH:
            watcher.emit("target_columns", dict(zip(COLUMNS, columns.tolist(), strict=True)), (), watcher.step)
        mirrored = self._mirrored.measured()
        for axis, numbers in zip(AXES.values(), [] if mirrored is None else mirrored.tolist(), strict=False):
            watcher.emit("mirrored", dict(zip(MIRRORED, numbers, strict=True)), (axis,), watcher.step)
        measured = self._frequencies.measured()
        if measured is not None:
            watcher.emit("class_frequencies", dict(zip(FREQUENCIES, measured.tolist(), strict=True)), (), watcher.step)

    def after_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        if self._mode is not None:
            self._mode.close()
        self._mode = None
        self._clear()

    def _clear(self) -> None:
        self._calls, self._embeddings, self._inputs, self._images = [], [], [], []
        self._tokens = self._shares = self._padding = self._copied = self._table = self._sides = self._labels = None
        self._targets_given, self._plain = 0, []
        self._pairs, self._views, self._weighed, self._squared, self._tables = None, [], False, [], []
