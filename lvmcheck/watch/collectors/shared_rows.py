"""Rows that training and evaluations share, as they pass through the model: whole rows, and parts of windows."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import fingerprints, first_input
from lvmcheck.watch.measure.held import telling, tokens_tell
from lvmcheck.watch.measure.twins import Twins
from lvmcheck.watch.measure.windows import is_text, parts, parts_of_text, reversed_parts

ROWS, MOST = 512, 100_000
"""Rows of a batch, and of training, that are kept."""
BATCHES, EVALUATIONS = 64, 8
"""Batches of an evaluation, and evaluations, that are looked at."""
FIRST = 24
"""Measured batches in which rows that come again are counted, at most until the first epoch ends."""
PASSED = 0.05
"""Share of rows that are trained on, above which it matters whether another model is evaluated, too."""
LEAST = 64
"""Rows of training that must have been seen."""
WINDOWS, TEXTS, OWN, LATE = 1000, 3000, 64, 256
"""Windows of a series, and of a text, whose parts are kept; the first ones, in which parts met before are counted."""
LONGER = 0.75
"""Share of a window's length of longer parts, which a text repeats far more rarely than half a window."""


class SharedRowsCollector(Collector):
    """Keeps fingerprints of the rows of measured steps, and compares those of evaluations with them.

    Rows of which equal ones are no chance are looked at alone. Where training sees one batch only, as on a graph, an
    evaluation must read the same rows.
    """

    def start(self, watcher: Loop) -> None:
        self._twins: Twins | None = None
        self._trained: set[int] = set()
        self._batches: set[int] = set()
        self._again, self._counted, self._steps, self._counts = 0, 0, 0, True
        self._tells: bool | None = None
        self._seen: list[Tensor] = []
        self._left = EVALUATIONS
        self._step = watcher
        self._parts: set[int] = set()
        self._longer: set[int] = set()
        self._windows = 0
        self._text, self._own, self._own_windows = False, 0, 0
        self._tokens = False
        self._late: deque[bool] = deque(maxlen=LATE)
        self._evaluated_parts: list[Tensor] = []
        self._handle = watcher.parts[0].register_forward_pre_hook(
            watcher.guard.hook("rows of evaluations", self._evaluates), with_kwargs=True
        )

    def before_forward(self, watcher: Loop, inputs: Any) -> None:
        batch = self._rows_of(inputs)
        if batch is None or not self._left or len(self._trained) > MOST:
            return
        watcher.later(fingerprints(batch, ROWS), self._train)
        if self._windows < (TEXTS if is_text(batch) else WINDOWS) and (found := parts(batch)) is not None:
            self._windows, self._text, offsets = self._windows + len(found), is_text(batch), found.shape[1]
            watcher.later(found.flatten(), lambda numbers, _: self._keep_parts([int(n) for n in numbers], offsets))
            if self._text and (longer := parts(batch, LONGER)) is not None:
                watcher.later(longer.flatten(), lambda numbers, _: self._longer.update(int(n) for n in numbers))

    def _keep_parts(self, marks: list[int], offsets: int) -> None:
        first = [mark for mark in marks[::offsets] if mark >= 0]
        if self._parts and self._own_windows < OWN:  # a text that repeats itself from the beginning on
            self._own_windows += len(first)
            self._own += sum(mark in self._parts for mark in first)
        elif self._parts:
            self._late.extend(mark in self._parts for mark in first)
        self._parts.update(mark for mark in marks if mark >= 0)

    def _train(self, numbers: list[float], _step: int) -> None:
        marks = [int(number) for number in numbers]
        if self._counts:
            self._steps += 1
            self._counted += len(marks)
            self._again += sum(mark in self._trained for mark in marks)
            self._counts = self._steps < FIRST
        self._trained.update(marks)
        self._batches.add(hash(tuple(marks)))

    def _evaluates(self, _module: nn.Module, args: Any, keywords: Any) -> None:
        if torch.is_grad_enabled() or not self._left or not self._step.step or len(self._seen) >= BATCHES:
            return
        batch = self._rows_of((args, keywords))
        if batch is not None:
            marks = fingerprints(batch, ROWS)
            self._seen.append(marks.cpu())
            if self._parts and (found := parts(batch)) is not None:
                longer = parts(batch, LONGER)
                columns = [found[:, 0], reversed_parts(batch)[:, 0], marks[: len(found)]]
                columns.append(columns[0] if longer is None else longer[:, 0])
                self._evaluated_parts.append(torch.stack(columns, 1).cpu())

    def _rows_of(self, inputs: Any) -> Tensor | None:
        batch = first_input(inputs)
        if batch is None or batch.ndim < 2 or self._tells is False:
            return None
        if self._tells is None:
            self._tells = telling(batch) or parts_of_text(batch) or tokens_tell(batch)
            self._tokens = is_text(batch)
        return batch if self._tells else None

    def epoch_ended(self, watcher: Loop, evaluated: bool) -> None:  # noqa: ARG002
        self._counts = False

    def evaluation_ended(self, watcher: Loop) -> None:
        seen, self._seen = self._seen, []
        windows, self._evaluated_parts = self._evaluated_parts, []
        if not seen or not self._left or len(self._trained) < LEAST or len(self._batches) < 2:
            return
        self._left -= 1
        met = [sum(int(mark) in self._trained for mark in marks.tolist()) for marks in seen]
        shares = [found / len(marks) for found, marks in zip(met, seen, strict=True)]
        twins = self._twins_of(watcher) if sum(met) > PASSED * sum(map(len, seen)) else None
        if twins is not None and not twins.asked():
            return  # whether one of them is evaluated on other rows is known from the next evaluation on
        values = {
            "rows": float(sum(map(len, seen))),
            "in_train": float(sum(met)),
            "beside": float(twins is not None and twins.called()),
            "train_rows": float(len(self._trained)),
            "repeated": self._again / max(1, self._counted),
            "least": min(shares),
            "passed": 1.0,
            "text": float(self._tokens),
        }
        watcher.emit("leak", values, (), watcher.step)
        self._say_windows(watcher, [list(filter(self._is_window, batch.tolist())) for batch in windows])
        if not self._left:
            self._handle.remove()

    def _twins_of(self, watcher: Loop) -> Twins | None:
        """Modules like the model, of which one may be evaluated in its place; None where there is none."""
        if self._twins is None:
            self._twins = Twins(watcher.model, watcher.guard)
        return self._twins if self._twins.there else None

    def _is_window(self, found: list[int]) -> bool:
        """It holds more than padding, and is no whole row of training, which is counted as such."""
        return min(found) >= 0 and (self._text or found[2] not in self._trained)

    def _say_windows(self, watcher: Loop, batches: list[list[list[int]]]) -> None:
        batches = [batch for batch in batches if batch]
        if not batches:
            return
        met, backward = ([sum(pair[side] in self._parts for pair in batch) for batch in batches] for side in (0, 1))
        values = {
            "windows": float(sum(map(len, batches))),
            "met": float(sum(met)),
            "reversed": float(sum(backward)),
            "least": min(found / len(batch) for found, batch in zip(met, batches, strict=True)),
            "longer": float(sum(pair[3] in self._longer for batch in batches for pair in batch)),
            "trained": float(self._windows),
            "text": float(self._text),
            "own": self._own / max(1, self._own_windows),
            "late": sum(self._late) / len(self._late) if len(self._late) >= LATE // 2 else 0.0,
        }
        watcher.emit("window_parts", values, (), watcher.step)

    def finish(self, watcher: Loop) -> None:  # noqa: ARG002
        self._handle.remove()
        if self._twins is not None:
            self._twins.close()
