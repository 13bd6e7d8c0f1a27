"""Long-term memory: a moving average of what surprised, one per sequence (after Titans, Behrouz et al. 2024).

With contents ``c_t = W_down y_t``, capacity C and ``r_t = w_t / C``::

    M_t = (1 - r_t) M_{t-1} + r_t c_t        what is held, and F_t, the same with 1 for c_t: how far it is filled
    U_t = (1 - 1/C) U_{t-1} + c_t / C        what is usual
    w_t = sigmoid((s_t - threshold) / WIDTH) how strongly t is written, of surprise s_t = (1 - cos(c_t, U_{t-1})) / 2
    m_t = W_up (M_t / F_t)                   what is read

Both averages are scans (models/cognate/scan.py), so nothing loops over time; surprise is judged against U, which does
not depend on w, for the same reason. A record starts with an empty memory, rows share nothing and no buffer exists: the
original project overwrote one with the batch's mean state in every call, so the same input twice gave different logits
(history 9).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.cognate.layout import Layout
from models.cognate.linear import Linear
from models.cognate.scan import mean, scan
from models.cognate.specialisation import Specialisation
from models.cognate.state import MemoryState

WIDTH = 0.1  # of surprise, from a write strength of one half to 0.73
_TINY = 1e-18


@dataclass(frozen=True)
class Reading:
    """What the memory gave: ``read`` [B, T, d], ``write`` [B, T] in 0..1, and its state after the last position."""

    read: Tensor
    write: Tensor
    state: MemoryState


class LongTermMemory(nn.Module):
    """``m_t`` of the module's text for y [B, T, d]: two maps without biases, 2 d d_mem parameters.

    Args:
        width: d. memory: d_mem, values held.
    """

    def __init__(self, width: int, memory: int) -> None:
        super().__init__()
        self.width = memory
        self.down = Linear(width, memory, bias=False)
        self.up = Linear(memory, width, bias=False)

    def forward(self, y: Tensor, layout: Layout, specialisation: Specialisation, past: MemoryState | None) -> Reading:
        """Reads and writes every position; ``past`` is the state that earlier positions left."""
        content = self.down(y)
        with torch.autocast(y.device.type, enabled=False):
            content = content.to(torch.promote_types(content.dtype, torch.float32))
            known, write, state = remember(content, layout, specialisation, past)
        return Reading(self.up(known.to(y.dtype)), write, state)


def remember(
    content: Tensor, layout: Layout, specialisation: Specialisation, past: MemoryState | None
) -> tuple[Tensor, Tensor, MemoryState]:
    """``M / F`` [B, T, d_mem] and w [B, T] of contents c [B, T, d_mem], and the state they leave."""
    usual = usual_before(content, layout, specialisation, past)
    write = ((surprise(content, usual) - specialisation.surprise_threshold) / WIDTH).sigmoid()
    if layout.real is not None:
        write = write * layout.real
    held = None if past is None else (past.content, past.fill)
    known, fill = mean(content, write / specialisation.memory_capacity, layout.runs, held, layout.before)
    filled = at_end(fill, layout)
    state = MemoryState(
        content=at_end(known, layout) * filled.unsqueeze(1),
        fill=filled,
        usual=at_end(usual, layout).lerp(at_end(content, layout), 1.0 / specialisation.memory_capacity),
    )
    return known, write, state


def usual_before(content: Tensor, layout: Layout, specialisation: Specialisation, past: MemoryState | None) -> Tensor:
    """U_{t-1} [B, T, d_mem]: the moving average of all earlier contents, written or not; zero where a record begins."""
    rate = content.new_full((1, content.shape[1]), 1.0 / specialisation.memory_capacity)
    return scan(content, rate, layout.runs, None if past is None else past.usual, layout.before, exclusive=True)


def surprise(content: Tensor, usual: Tensor) -> Tensor:
    """``(1 - cosine) / 2`` over the last dimension, in 0..1; one half where either is zero."""
    size = torch.linalg.vector_norm(content, dim=-1) * torch.linalg.vector_norm(usual, dim=-1)
    cosine: Tensor = torch.linalg.vecdot(content, usual) / size.clamp(min=_TINY)
    return 0.5 - 0.5 * cosine


def at_end(states: Tensor, layout: Layout) -> Tensor:
    """[B, ...] of [B, T, ...]: at each row's last position that is not padding."""
    if layout.last is None:
        return states[:, -1]
    return states[torch.arange(len(states), device=states.device), layout.last]


def held_tokens(write: Tensor, specialisation: Specialisation, runs: Tensor | None = None) -> Tensor:
    """How many tokens the memory holds after each position, [B, T]: Kish's effective number of its weights.

    Of write strengths [B, T] from an empty memory, in float64; 0 where nothing was written.
    """
    rate = (write / specialisation.memory_capacity).to(torch.float64)
    total = scan(torch.ones_like(rate).unsqueeze(2), rate, runs).squeeze(2)
    twice = rate * (
        2.0 - rate
    )  # squares of weights decay by the square, and each adds its own: an average of r / (2 - r)
    squares = scan((rate / (2.0 - rate)).unsqueeze(2), twice, runs).squeeze(2)
    return total.square() / squares.clamp(min=torch.finfo(squares.dtype).tiny)
