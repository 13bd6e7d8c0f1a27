"""Loaders observed while they are iterated: rows, labels, and rows that training and validation share.

Nothing is put into a loader. ``watcher.train`` and ``watcher.val`` stand in its place in the loop and hand on every
batch as it is; tensors, and datasets that hold tensors, are looked at when watching begins as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import fingerprints, rows_of_ids, tensors

ROWS = 512
"""Rows of a batch whose fingerprints are kept."""
MOST = 500_000
"""Fingerprints that are kept of one side."""
SHARE = 0.005
"""Share of the time of an iteration that looking at its batches may take, after the first of them."""
FREE = 16


class Loader:
    """Iterates over a loader and remembers what passes.

    Attributes:
        rows: fingerprints of the rows seen.
        repeated: rows that were met again within one pass.
    """

    def __init__(self, loader: Any, watcher: Loop, *, evaluates: bool) -> None:
        self._loader = loader
        self._watcher = watcher
        self._evaluates = evaluates
        self.rows: set[int] = set()
        self.repeated = 0
        self.counted = 0
        self.passes = 0
        held = held_rows(loader)
        if held is not None:
            self.passes = 1
            self._keep(fingerprints(held, MOST).tolist(), set())

    @property
    def loader(self) -> Any:
        """What is iterated."""
        return self._loader

    @property
    def several(self) -> bool:
        """One pass has more than one batch, as far as the loader says."""
        if not hasattr(self._loader, "dataset"):
            return False
        try:
            return len(self._loader) > 1
        except TypeError:  # a loader over a stream has no length
            return False

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Any]:
        self._watcher.evaluating = self._evaluates
        passed: set[int] = set()
        self.passes += 1
        spent, began = 0.0, time.perf_counter()
        try:
            for number, batch in enumerate(self._loader):
                now = time.perf_counter()
                if number < FREE or spent < SHARE * (now - began):
                    self._look(batch, passed)
                    spent += time.perf_counter() - now
                yield batch
        finally:
            self._watcher.evaluating = False
        self._watcher.passed(evaluation=self._evaluates)

    @torch.no_grad()
    def _look(self, batch: Any, passed: set[int]) -> None:
        rows = rows_of_ids(batch)
        if rows is not None and len(self.rows) < MOST:
            self._keep(fingerprints(rows, ROWS).tolist(), passed)

    def _keep(self, found: list[int], passed: set[int]) -> None:
        for row in found:
            self.counted += 1
            self.repeated += row in passed
            passed.add(row)
        self.rows.update(found)


def held_rows(loader: Any) -> Tensor | None:
    """The rows that a tuple of tensors, or a loader over a dataset of tensors, holds; None where it holds none."""
    dataset = getattr(loader, "dataset", loader)
    indices = None
    if isinstance(dataset, Subset) and isinstance(dataset.dataset, TensorDataset):
        indices = torch.as_tensor(list(dataset.indices), device="cpu")
        dataset = dataset.dataset
    if isinstance(dataset, TensorDataset):
        dataset = dataset.tensors
    if isinstance(dataset, Tensor) or (isinstance(dataset, tuple) and all(isinstance(t, Tensor) for t in dataset)):
        held = [tensor for tensor in tensors(dataset) if tensor.ndim]
        rows = rows_of_ids(held) if held else None
        return rows if rows is None or indices is None else rows[indices]
    return None


def leak(train: Loader, val: Loader) -> dict[str, float]:
    """How many validation rows are among those of training.

    A pass is looked at in part, and equal rows meet in it more rarely than in all rows that were seen: the share of
    repeated rows is that of a pass times the size of all over that of the part.
    """
    counted = max(1, train.counted)
    larger = max(1.0, len(train.rows) * train.passes / counted)
    return {
        "rows": len(val.rows),
        "in_train": len(val.rows & train.rows),
        "train_rows": len(train.rows),
        "repeated": min(1.0, train.repeated / counted * larger),
    }
