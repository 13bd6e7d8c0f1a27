"""A corpus that lives on the accelerator: batches are gathered there, and no vector crosses the bus twice."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.store import Corpus, Windows

SHARE = 0.5  # of the device's free memory that a corpus may take: the rest is for the model and its batches


@dataclass(frozen=True, eq=False)
class Resident:
    """Windows over a corpus that is on ``device``, [M, D] float32 or float16, with their rows there as well.

    Rows are looked up, gathered and scaled on the device, and nothing is read back: a step waits for no copy.
    """

    vectors: Tensor
    places: Tensor
    consecutive: bool
    context: int

    @classmethod
    def of(cls, windows: Windows, device: torch.device) -> Resident:
        """Copies what is not there yet; two windows over one corpus share its vectors."""
        places = windows.starts if windows.starts is not None else windows.rows()
        held = torch.from_numpy(places.astype(np.int64)).to(device)
        return cls(_on(windows.corpus, device), held, windows.starts is not None, windows.context)

    def batches(self, order: NDArray[np.int64], size: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Context [B, T, D] and target [B, D], float32: ``size`` windows of ``order`` a time, from batch ``first``."""
        chosen = torch.from_numpy(order).to(self.vectors.device)
        for start in range(first * size, len(order), size):
            yield self.gather(chosen[start : start + size])

    def gather(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """The windows of these numbers, [B] int64 on the device."""
        rows = self.places[chosen]
        if self.consecutive:
            rows = rows.unsqueeze(1) + torch.arange(self.context + 1, device=rows.device)
        block = self.vectors[rows].float()
        if self.vectors.dtype != torch.float32:  # as Windows.batch: rounding to float16 moves norms by up to 3e-4
            norms = torch.linalg.vector_norm(block, dim=-1, keepdim=True)
            block = block / torch.where(norms > 0, norms, 1.0)
        return block[:, :-1], block[:, -1]


def fits(corpus: Corpus, device: torch.device) -> bool:
    """Whether the device has room for the corpus beside a model; a CPU has it in memory already, so False."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    elif device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    else:
        return False
    return corpus.vectors.nbytes <= SHARE * free


_HELD: dict[tuple[int, str], Tensor] = {}
"""Vectors by host array and device; an entry goes when its array does, so that an epoch copies nothing anew."""
CHUNK = 1 << 16  # rows


def _on(corpus: Corpus, device: torch.device) -> Tensor:
    key = (id(corpus.vectors), str(device))
    if key not in _HELD:
        half = corpus.vectors.dtype == np.float16
        held = torch.empty(corpus.vectors.shape, dtype=torch.float16 if half else torch.float32, device=device)
        for start in range(0, len(corpus), CHUNK):
            # A copy, because the rows of a mapped file may not be written, which torch asks for.
            held[start : start + CHUNK] = torch.from_numpy(corpus.vectors[start : start + CHUNK].copy()).to(device)
        _HELD[key] = held
        weakref.finalize(corpus.vectors, _HELD.pop, key, None)
    return _HELD[key]
