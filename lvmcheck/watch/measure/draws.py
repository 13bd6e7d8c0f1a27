"""Whether a dataset draws the same random numbers every time it is asked for a row."""

from __future__ import annotations

import random
import sys
import time
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from lvmcheck.watch.measure.batches import tensors
from lvmcheck.watch.preflight.state import SavedGenerators

DRAWS = frozenset(
    {
        *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"),
        *("rand_like", "randn_like", "randint_like", "uniform_", "normal_", "random_", "bernoulli_", "exponential_"),
    }
)
READS = 3
READING, MOST = 0.1, 4096
"""Seconds that rows are read for, and how many at most."""


class _Draws(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in DRAWS and isinstance(result, Tensor):
            self.drawn.append(result.detach().clone())
        return result


def frozen_draws(dataset: Any) -> dict[str, float]:
    """Reads two rows several times, with generators of Python, numpy and torch that differ each time.

    ``draws`` counts random numbers that were seen to be drawn, ``same`` is 1 where every read of a row drew the same
    and gave the same. Empty where the rows are no stored ones, or cannot be read.
    """
    if not isinstance(dataset, Dataset) or isinstance(dataset, IterableDataset | TensorDataset) or not stores(dataset):
        return {}
    generators = SavedGenerators()
    try:
        reads = [[_read(dataset, row) for _ in range(READS)] for row in (0, len(dataset) // 2)]  # type: ignore[arg-type]
    except Exception:  # a row that cannot be read here is the loop's own affair
        return {}
    finally:
        generators.restore()
    draws = min(read[1] for row in reads for read in row)
    same = all(_equal(row[0][0], read[0]) for row in reads for read in row[1:])
    seeded = all(read[2] == row[0][2] for row in reads for read in row[1:])
    return {"draws": float(draws), "same": float(same and seeded)}


def stores(dataset: Any) -> bool:
    """Whether its rows are stored ones: it holds something with as many rows as it has, or another dataset."""
    try:
        count = len(dataset)
    except TypeError:
        return False
    inner = dataset.dataset if isinstance(dataset, Subset) else dataset
    held = list(vars(inner).values())
    sized = [item for item in held if hasattr(item, "__len__") and hasattr(item, "__getitem__")]
    return count > 1 and any(not isinstance(item, str | dict | range) and len(item) >= count for item in sized)


def _read(dataset: Any, row: int) -> tuple[list[Tensor], int, tuple[Any, ...]]:
    """A row, numbers drawn for it, and where it leaves generators that were seeded by it."""
    torch.rand(1, device="cpu"), random.random()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.rand()
    before = _states()
    with _Draws() as seen:
        item = dataset[row]
    after = _states()
    moved = tuple(state if state != old else None for state, old in zip(after, before, strict=True))
    drawn = sum(tensor.numel() for tensor in seen.drawn)
    numbers = tuple(tuple(tensor.reshape(-1)[:8].tolist()) for tensor in seen.drawn)
    rest = sum(state is not None for state in moved[1:])
    return [t.detach().clone() for t in tensors(item)], drawn + rest, (numbers, moved)


def _states() -> tuple[Any, ...]:
    """Torch's generator, Python's and numpy's, as they are."""
    numpy = sys.modules.get("numpy")
    whole = None if numpy is None else numpy.random.get_state()
    return (
        bytes(torch.get_rng_state().numpy().tobytes()),
        random.getstate(),
        None if whole is None else (whole[1].tobytes(), whole[2]),
    )


def _equal(one: list[Tensor], other: list[Tensor]) -> bool:
    pairs = list(zip(one, other, strict=False))
    return len(one) == len(other) and bool(one) and all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def holds_generator(dataset: Any) -> bool:
    """Whether it has a random generator of its own, of which every worker gets a copy in the same state."""
    numpy = sys.modules.get("numpy")
    kinds: tuple[type, ...] = (torch.Generator, random.Random)
    if numpy is not None:
        kinds += (numpy.random.Generator, numpy.random.RandomState)
    return dataset is not None and any(isinstance(item, kinds) for item in getattr(dataset, "__dict__", {}).values())


def read_rows(dataset: Any) -> list[Tensor] | None:
    """The first rows of a dataset that stores them and draws nothing, as tensors; None where that cannot be said.

    It reads for a tenth of a second at most, and puts the generators back.
    """
    if frozen_draws(dataset).get("draws", 1.0):
        return None
    generators, until = SavedGenerators(), time.perf_counter() + READING
    rows: list[list[Tensor]] = []
    try:
        for row in range(min(MOST, len(dataset))):
            rows.append([_tensor(part) for part in _parts(dataset[row])])
            if time.perf_counter() > until:
                break
        return [torch.stack(column) for column in zip(*rows, strict=True)]
    except Exception:  # rows of different shapes, or of something else than numbers
        return None
    finally:
        generators.restore()


def _parts(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return list(item) if isinstance(item, tuple | list) else [item]


def _tensor(part: Any) -> Tensor:
    return part.detach().clone() if isinstance(part, Tensor) else torch.as_tensor(part, device="cpu")
