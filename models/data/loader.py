"""Batches of windows as tensors, in an order that seed and epoch alone decide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvmcheck.errors import InputError
from models.data.mmap import take
from models.data.prefetch import Batch, prefetch
from models.data.resident import Resident, fits
from models.data.store import Corpus, Windows
from models.losses import NEEDS_TWO_ROWS


def epoch_order(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    """A permutation of ``size`` windows, the same for the same seed and epoch whatever was drawn before."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(size)


AT_ONCE = 4 * 2**20
"""Bytes of small batches gathered at once: at 32 windows of 768 numbers more than half of the time was Python's,
not the copy's. They are still in the cache when they are used."""


class Loader:
    """Gathers batches into one reused block of memory and moves them to the device, or gathers them there where the
    device has room for the corpus.

    A batch is valid until the next gather overwrites the block.
    """

    def __init__(self, windows: Windows, batch_size: int, device: torch.device) -> None:
        self.windows = windows
        self.batch_size = min(batch_size, len(windows))
        self.device = device
        self.resident = Resident.of(windows, device) if fits(windows.corpus, device) else None
        window = 4 * (windows.context + 1) * windows.dim
        self.at_once = max(1, AT_ONCE // (window * self.batch_size)) * self.batch_size
        self.block = np.empty((min(self.at_once, len(windows)), windows.context + 1, windows.dim), dtype=np.float32)

    def __len__(self) -> int:
        """Batches of an epoch; a short last one counts and is kept."""
        return -(-len(self.windows) // self.batch_size)

    def gather(self, chosen: Batch) -> tuple[Tensor, Tensor]:
        """Context [B, T, D] and target [B, D], float32 on the device."""
        context, target = (torch.from_numpy(part) for part in self.windows.batch(chosen, out=self.block))
        return context.to(self.device), target.to(self.device)

    def shuffled(self, seed: int, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of that epoch from batch ``first`` on."""
        order = epoch_order(seed, epoch, len(self.windows))
        if self.resident is not None:
            yield from self.resident.batches(order, self.batch_size, first)
            return
        starts = range(first * self.batch_size, len(order), self.at_once)
        for chosen in prefetch(self.windows, (order[start : start + self.at_once] for start in starts)):
            context, target = self.gather(chosen)
            yield from zip(torch.split(context, self.batch_size), torch.split(target, self.batch_size), strict=True)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All windows once, in their order."""
        if self.resident is not None:
            yield from self.resident.batches(np.arange(len(self.windows)), self.batch_size)
            return
        size, starts = len(self.windows), range(0, len(self.windows), self.batch_size)
        for chosen in prefetch(self.windows, (slice(start, min(start + self.batch_size, size)) for start in starts)):
            yield self.gather(chosen)


def sample(windows: Windows, size: int, seed: int) -> Windows:
    """At most ``size`` windows chosen by ``seed``, with a copy of their vectors alone: the rest can be freed."""
    chosen = np.sort(epoch_order(seed, 0, len(windows))[:size])
    used, index = np.unique(windows.rows(chosen), return_inverse=True)
    corpus = Corpus(windows.corpus.name, take(windows.corpus.vectors, used), windows.corpus.article[used])
    return Windows(corpus, windows.context, index=index.reshape(len(chosen), -1).astype(np.int32))


def check_sizes(windows: Windows, batch_size: int, weights: dict[str, float]) -> None:
    """Raises InputError when an epoch of ``windows`` cannot be cut into batches that the loss terms can use."""
    if len(windows) < batch_size:
        problem = f"expected at least a batch of {batch_size} training windows, got {len(windows)}"
        raise InputError("trainer vector", problem, key="run.batch_size")
    spread = [term for term in NEEDS_TWO_ROWS if weights.get(term, 0.0) > 0]
    if spread and (batch_size == 1 or len(windows) % batch_size == 1):
        raise InputError(
            "trainer vector",
            f"{len(windows):,} windows in batches of {batch_size} leave a batch of one, and {spread[0]} needs two rows",
            key="run.batch_size",
        )
