"""Inputs and outputs of the model on a sampled step, and the gradient that comes back to the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

import torch
from torch import Tensor

from lvmcheck.watch.budget import rests
from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import first_input, main_output, tensors
from lvmcheck.watch.measure.loss_form import FORMS, affine_residual, loss_form, targets
from lvmcheck.watch.measure.modules import is_norm, leaves
from lvmcheck.watch.measure.outputs import class_rows, rows_of, scale, spread, sums
from lvmcheck.watch.slot import Slot

SCALE = ("mean", "std", "lowest", "highest", "binary")
FITS = 0.15
"""Distance below which a gradient is that of cross entropy, perhaps with smoothed targets."""
COLUMNS = 3
"""Numbers of a row beside codes that are looked at."""
POSITIONS, FEWEST, LOGITS = 128, 16, 32_768
"""Rows that the form of a loss is read from, at least and at most, and how many logits they have together, about."""


class OutputsCollector(Collector):
    """Whether outputs vary, whether they are probabilities, and which loss they go into."""

    def start(self, watcher: Loop) -> None:
        first = next((module for _, module in leaves(watcher.model)), None)
        self._normed = first is not None and is_norm(first)
        self._outputs = self._reached = self._samples = self._backwards = 0
        self._classes: set[int] = set()

    def before_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        self._outputs = self._reached = 0
        self._samples += 1

    def after_forward(self, watcher: Loop, inputs: Any, output: Any) -> None:
        out, batch = main_output(output), first_input(inputs)
        floating = [tensor for tensor in tensors(output) if tensor.is_floating_point()]
        if floating and not any(tensor.requires_grad and tensor.is_leaf for tensor in floating):
            self._outputs += 1
            self._backwards = watcher.slots[0].backwards
        for tensor in floating[:8]:
            if tensor.requires_grad and not tensor.is_leaf:  # a parameter would keep the hook
                tensor.register_hook(  # type: ignore[no-untyped-call]
                    watcher.guard.hook("outputs", self._counting(watcher, tensor.detach() if tensor is out else None))
                )
        if out is None or len(out) < 2 or out.is_sparse:
            return
        self._rows(watcher, out, batch, inputs)

    def _rows(self, watcher: Loop, out: Tensor, batch: Tensor | None, inputs: Any) -> None:
        """Outputs beside inputs."""
        aligned = batch is not None and len(batch) == len(out)
        varied = spread(batch) if batch is not None and aligned else torch.full((), float("nan"), device="cpu")
        values = [spread(out), varied.to(out.device)]
        numbers = batch if batch is not None and batch.is_floating_point() else self._table(inputs, len(out))
        scaled = numbers is not None and not self._normed
        if scaled and numbers is not None:
            values += list(scale(numbers).to(out.device))

        def use(numbers: list[float], step: int) -> None:
            found = {key: n for key, n in zip(("spread", "input_spread"), numbers, strict=False) if n == n}
            watcher.emit("outputs", {**found, "rows": len(out)}, (), step)
            if scaled:
                alike = {"spread": found["input_spread"]} if "input_spread" in found else {}
                watcher.emit("inputs", {**dict(zip(SCALE, numbers[2:], strict=True)), **alike}, (), step)

        watcher.later(values, use)

    @staticmethod
    def _table(inputs: Any, rows: int) -> Tensor | None:
        """Numbers beside codes of categories."""
        tables = (t for t in tensors(inputs) if t.is_floating_point() and t.ndim == 2 and len(t) == rows)
        return next((table for table in tables if table.shape[1] >= COLUMNS), None)

    def _counting(self, watcher: Loop, out: Tensor | None) -> Callable[[Tensor | None], None]:
        """A hook of an output, which keeps no run alive; ``out`` is its content, without its graph."""
        step, once, known = watcher.now, [True], ref(watcher)

        def came(gradient: Tensor | None) -> None:
            watcher = known()
            if watcher is None or gradient is None:  # compiled code has no gradient for what the loss does not use
                return
            if once[0]:
                self._reached += 1
                for slot in watcher.slots if out is not None else ():
                    slot.output_reached()
            once[0] = False
            if out is None or not watcher.sampling or watcher.now != step or out.ndim < 1 or len(out) < 4:
                return
            if rests(self._samples):
                return
            with torch.no_grad():
                self._loss(watcher, out, gradient)

        return came

    def _loss(self, watcher: Loop, out: Tensor, gradient: Tensor) -> None:
        """Which loss the gradient belongs to."""
        if out.numel() == len(out):
            self._regression(watcher, out, gradient)
            return
        classes = out.shape[1 if out.ndim >= 4 else -1]
        if out.ndim < 2 or classes < 3:
            return
        rows = min(POSITIONS, max(FEWEST, LOGITS // classes))
        logits, grads = class_rows(out, rows), class_rows(gradient, rows)
        found, chosen = torch.cat([loss_form(logits, grads), sums(out)]), targets(grads)
        whole = len(FORMS) + 3

        def use(numbers: list[float], step: int) -> None:
            forms = {form: n for form, n in zip(FORMS, numbers, strict=False) if n == n}
            if forms:
                watcher.emit("loss_form", {**forms, "classes": classes}, (), step)
                keys = ("sum_error", "column_error", "lowest")
                form = {key: n for key, n in zip(keys, numbers[len(FORMS) :], strict=False) if n == n}
                watcher.emit("output_form", {**form, "cross_entropy": forms.get("cross_entropy", 1.0)}, (), step)
            others = min(forms.get("softmax_twice", 1.0), forms.get("no_log", 1.0))
            if forms.get("cross_entropy", 1.0) < min(FITS, others):
                self._labels(watcher, [int(n) for n in numbers[whole:] if n >= 0], classes, step)

        watcher.later(torch.cat([found, chosen.to(found)]), use)

    def _labels(self, watcher: Loop, labels: list[int], classes: int, step: int) -> None:
        self._classes |= set(labels)
        values = {"distinct": len(set(labels)), "rows": len(labels), "seen": len(self._classes), "classes": classes}
        watcher.emit("labels", values, (), step)

    def _regression(self, watcher: Loop, out: Tensor, gradient: Tensor) -> None:
        """One number a row: whether all rows are pulled to the same target."""
        trailing = float(out.ndim > 1)

        def use(numbers: list[float], step: int) -> None:
            slope, intercept, residual, deviation = numbers
            target = -intercept / slope if slope else 0.0
            values = {"slope": slope, "target": target, "residual": residual, "deviation": deviation}
            watcher.emit("targets", {**values, "rows": len(out), "trailing": trailing}, (), step)

        watcher.later(affine_residual(rows_of(out, POSITIONS), rows_of(gradient, POSITIONS)), use)

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        since = slot.backwards > self._backwards  # else the backward pass comes after the step
        if slot is watcher.slots[0] and self._outputs and (since or slot.closure or not slot.ever):
            values = {"forwards": self._outputs, "reached": min(self._reached, self._outputs)}
            watcher.emit("output_gradient", values)
