"""Running statistics of batch norm: how much of their initial values is left in them."""

from __future__ import annotations

from torch import Tensor, nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
EARLY = 3
"""Batches after which statistics that are counted from 0 are those of a norm that was just made."""
SLACK = 1e-4
"""Rounding of a variance."""


def _new(norm: nn.Module) -> bool:
    """Whether it was just made: a variance that began at 1 keeps (1 - momentum) ** batches of it, and gains the rest.

    Counts alone do not say so: the files of old models have statistics and no count, which then begins at 0.
    """
    count, variance = int(norm.num_batches_tracked), norm.running_var  # type: ignore[arg-type]
    kept = (1 - float(norm.momentum)) ** count  # type: ignore[arg-type]
    return count <= EARLY and isinstance(variance, Tensor) and bool((variance >= kept - SLACK).all())


class NormStatisticsCollector(Collector):
    """Remembers the norms that begin with the run, and says at its end what their momentum left of the beginning."""

    def start(self, watcher: Loop) -> None:
        named = [(name, norm) for name, norm in watcher.model.named_modules() if isinstance(norm, NORMS)]
        counted = [
            (name, norm) for name, norm in named if norm.num_batches_tracked is not None and norm.momentum is not None
        ]
        self._norms = [(name, norm) for name, norm in counted if _new(norm)]

    def finish(self, watcher: Loop) -> None:
        found = []
        for name, norm in self._norms:
            count = 0 if norm.num_batches_tracked is None else int(norm.num_batches_tracked)
            if count and norm.momentum is not None:
                found.append(((1 - float(norm.momentum)) ** count, count, name))
        if found:
            left, count, name = max(found)
            watcher.emit("norm_statistics", {"left": left, "batches": float(count)}, [name], watcher.step)
