"""The rows that a data set stores: found by who iterates over it, and read without asking it for one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from torch.utils.data.dataloader import _BaseDataLoaderIter

from lvmcheck.watch.alive import alive
from lvmcheck.watch.measure.batches import fingerprints
from lvmcheck.watch.measure.held import columns, telling, tokens_tell

KEPT, WIDE = 64, 8
"""Rows whose content is compared from time to time, and elements of a row from which its correlation says something."""
LOOKED = 1 << 24
"""Numbers of the rows that are looked at together: nobody asked for a copy of a large data set."""
MOST = 200_000
"""Rows that are compared with each other."""
WHOLE = (RandomSampler, SequentialSampler, WeightedRandomSampler)
"""Samplers that draw from all rows."""


@dataclass(frozen=True)
class Stored:
    """Inputs and targets as they are stored, which is where they would be changed.

    Args:
        inputs, target: row by row; ``target`` is None where nothing looks like one.
        rows: numbers of the rows that are used; None of all.
    """

    inputs: Tensor
    target: Tensor | None
    rows: Tensor | None = None

    @property
    def used(self) -> list[Tensor]:
        """The first rows that are used, of inputs and target, and no more than are quickly copied and compared."""
        both = [self.inputs] if self.target is None else [self.inputs, self.target]
        most = max(KEPT, LOOKED // max(1, sum(tensor[0].numel() for tensor in both)))
        if self.rows is None:
            return [tensor[:most] for tensor in both]
        return [tensor[self.rows[:most].to(tensor.device)] for tensor in both]

    def few(self) -> Tensor:
        """Evenly spaced elements of evenly spaced rows, float32, as they are now."""
        rows = torch.arange(len(self.inputs), device="cpu") if self.rows is None else self.rows
        chosen = rows[:: max(1, len(rows) // KEPT)][:KEPT]
        return columns(self.inputs[chosen.to(self.inputs.device)].detach()).clone()


def iterated() -> list[Any]:
    """What iterates over a DataLoader at this moment."""
    return alive(_BaseDataLoaderIter)


def stored(iterator: Any) -> Stored | None:
    """What the data set behind an iterator stores; None where that is no table of rows, or not known."""
    dataset, rows = iterator._dataset, _sampled(iterator)
    if rows is False or isinstance(dataset, IterableDataset):
        return None
    while isinstance(dataset, Subset):
        within = torch.as_tensor(list(dataset.indices), device="cpu")
        rows, dataset = (within if rows is None else within[rows]), dataset.dataset
    held = [tensor for tensor in _attributes(dataset) if tensor.ndim and not tensor.is_sparse]
    if not held or isinstance(dataset, IterableDataset):
        return None
    inputs = held[0] if isinstance(dataset, TensorDataset) else max(held, key=Tensor.numel)
    others = [tensor for tensor in held if tensor is not inputs]
    flat = [tensor for tensor in others if tensor.numel() == len(tensor)]
    return Stored(inputs, next(iter(flat or others), None), rows) if inputs.ndim > 1 else None


def _sampled(iterator: Any) -> Any:
    """Numbers of the rows that its sampler draws from; None of all, False where nobody knows."""
    sampler = getattr(iterator._index_sampler, "sampler", iterator._index_sampler)
    if isinstance(sampler, SubsetRandomSampler):
        return torch.as_tensor(list(sampler.indices), device="cpu")
    return None if isinstance(sampler, WHOLE) else False


def in_order(iterator: Any) -> bool:
    """Whether rows are read as they are stored."""
    return isinstance(getattr(iterator._index_sampler, "sampler", None), SequentialSampler)


def _attributes(dataset: Any) -> Iterator[Tensor]:
    """Tensors and arrays that it holds, with as many rows as it has."""
    if isinstance(dataset, TensorDataset):
        yield from dataset.tensors
        return
    numpy = sys.modules.get("numpy")
    array: Any = () if numpy is None else numpy.ndarray
    try:
        count = len(dataset)
    except TypeError:
        return
    for item in list(getattr(dataset, "__dict__", {}).values()):
        whole = isinstance(item, Tensor | array) and item.ndim and len(item) == count
        if isinstance(item, Tensor) and whole:
            yield item
        elif whole and item.dtype.kind in "fiub" and item.flags.writeable and item.dtype.isnative:
            yield torch.from_numpy(item)


def change(before: Tensor, after: Tensor) -> dict[str, float]:
    """Share of elements that changed, and the correlation of what was there with what is there now.

    The correlation is that of all numbers, or the median of those of rows, of which each may be scaled by itself.
    """
    changed = float((before != after).float().mean())
    both = torch.stack([before.reshape(-1), after.reshape(-1)]).double()
    alike = float(torch.corrcoef(both)[0, 1].nan_to_num()) if changed else 1.0
    if changed and before.ndim > 1 and before.shape[1] >= WIDE:
        one, other = (rows.double() - rows.double().mean(1, keepdim=True) for rows in (before, after))
        sizes = (one.square().sum(1) * other.square().sum(1)).sqrt()
        alike = max(alike, float(((one * other).sum(1) / sizes.clamp_min(1e-300)).median()))
    return {"changed": changed, "alike": alike, "rows": float(len(before))}


def shared(train: Tensor, val: Tensor) -> dict[str, float]:
    """How many validation rows are among those of training; empty where equal rows may be chance."""
    if train.shape[1:] != val.shape[1:] or train.dtype != val.dtype or not (telling(train) or tokens_tell(train)):
        return {}
    one, other = (set(fingerprints(rows, MOST).tolist()) for rows in (train, val))
    repeated = 1 - len(one) / min(MOST, len(train))
    return {"rows": len(other), "in_train": len(one & other), "train_rows": len(one), "repeated": repeated}


def safely(measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What was measured; nothing where shapes or types mean something else."""
    try:
        return measure()
    except (RuntimeError, ValueError, TypeError, IndexError):
        return {}
