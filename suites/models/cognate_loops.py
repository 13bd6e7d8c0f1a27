"""Cognate's memory written as its definition: a loop over rows and time, for comparison."""

from __future__ import annotations

import torch
from torch import Tensor

from models.cognate.memory import WIDTH, LongTermMemory, Reading
from models.cognate.specialisation import Specialisation
from models.cognate.state import MemoryState


def scan_loop(
    x: Tensor,
    rate: Tensor,
    runs: Tensor | None = None,
    initial: Tensor | None = None,
    before: Tensor | None = None,
    *,
    exclusive: bool = False,
) -> Tensor:
    """What :func:`models.cognate.scan.scan` stands for."""
    rows = []
    for row in range(x.shape[0]):
        state = torch.zeros_like(x[row, 0]) if initial is None else initial[row]
        run = None if runs is None else runs[row, 0] if before is None else before[row]
        states = []
        for step in range(x.shape[1]):
            if runs is not None and runs[row, step] != run:
                run = runs[row, step]
                state = torch.zeros_like(state)
            earlier = state
            state = (1.0 - rate[row, step]) * state + rate[row, step] * x[row, step]
            states.append(earlier if exclusive else state)
        rows.append(torch.stack(states))
    return torch.stack(rows)


def memory_loop(module: LongTermMemory, y: Tensor, segments: Tensor, specialisation: Specialisation) -> Reading:
    """The equations of :mod:`models.cognate.memory`, one position after the other; no padding."""
    content = module.down(y)
    reads, writes, ends = [], [], []
    for row in range(len(y)):
        held = usual = torch.zeros_like(content[row, 0])
        fill = held.new_zeros(())
        for step in range(y.shape[1]):
            if step > 0 and segments[row, step] != segments[row, step - 1]:
                held, usual, fill = torch.zeros_like(held), torch.zeros_like(held), torch.zeros_like(fill)
            c = content[row, step]
            known = bool(usual.detach().abs().sum() > 0.0)
            cosine = torch.cosine_similarity(c, usual, dim=0) if known else held.new_zeros(())
            write = ((0.5 * (1.0 - cosine) - specialisation.surprise_threshold) / WIDTH).sigmoid()
            rate = write / specialisation.memory_capacity
            held = (1.0 - rate) * held + rate * c
            fill = (1.0 - rate) * fill + rate
            usual = (1.0 - 1.0 / specialisation.memory_capacity) * usual + c / specialisation.memory_capacity
            reads.append(module.up(held / fill))
            writes.append(write)
        ends.append(MemoryState(held, fill, usual))
    state = MemoryState(*(torch.stack([getattr(end, name) for end in ends]) for name in ("content", "fill", "usual")))
    shape = y.shape[:2]
    return Reading(torch.stack(reads).view(*shape, -1), torch.stack(writes).view(shape), state)
