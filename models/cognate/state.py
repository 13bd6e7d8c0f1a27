"""What streaming hands from one call to the next: keys and values, the memory, and where each row stands."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

KeyValue = tuple[Tensor, Tensor]
"""Keys and values of one place of attention, each [B, heads, P, head width]."""


@dataclass(frozen=True)
class MemoryState:
    """The memory after a position.

    Attributes:
        content: M [B, d_mem], the moving average of what was written.
        fill: [B], the sum of its weights, in 0..1: what M must be divided by to be a mean.
        usual: [B, d_mem], the moving average of all contents, by which surprise is judged.
    """

    content: Tensor
    fill: Tensor
    usual: Tensor

    @classmethod
    def empty(cls, batch: int, width: int, like: Tensor) -> MemoryState:
        """Nothing written yet, on the device and in the type of ``like`` (at least float32)."""
        kind = torch.promote_types(like.dtype, torch.float32)
        zeros = torch.zeros(batch, width, dtype=kind, device=like.device)
        return cls(zeros, zeros[:, 0], zeros)


@dataclass(frozen=True)
class State:
    """A stream after some positions; never changed, each call gives a new one.

    Attributes:
        caches: keys and values by place: backbone layers, the recursion's features, then its answers by step.
        runs: [B, P], which stretch of positions each cached key belongs to.
        segment: [B], the record of the last position, -1 before the first.
        run: [B], the stretch of the last position. position: [B], the next one inside its record.
        seen: an upper bound of ``position`` that needs no look at the device.
        whole: whether all positions are known to be one run of segment 1, of which ``seen`` is the exact length.
        memory: of the last position.
    """

    caches: tuple[KeyValue | None, ...]
    runs: Tensor
    segment: Tensor
    run: Tensor
    position: Tensor
    seen: int
    whole: bool
    memory: MemoryState

    @property
    def batch(self) -> int:
        """How many rows it is of."""
        return self.runs.shape[0]

    @classmethod
    def empty(cls, batch: int, places: int, memory: MemoryState) -> State:
        """Before the first position."""
        zeros = torch.zeros(batch, dtype=torch.int64, device=memory.content.device)
        return cls((None,) * places, zeros.new_zeros(batch, 0), zeros - 1, zeros, zeros, 0, True, memory)
