"""Long-term memory: a moving average of what surprised, one per sequence (after Titans, Behrouz et al. 2024).

With contents ``c_t = W_down y_t``, capacity C and ``r_t = w_t / C``::

    M_t = (1 - r_t) M_{t-1} + r_t c_t        what is held, and F_t, the same with 1 for c_t: how far it is filled
    U_t = (1 - 1/C) U_{t-1} + c_t / C        what is usual
    w_t = sigmoid((s_t - threshold) / WIDTH) how strongly t is written, of surprise s_t = (1 - cos(c_t, U_{t-1})) / 2
    m_t = W_up (M_t / F_t)                   what is read

Both averages are scans, so nothing loops over time; surprise is judged against U, which does not depend on w, for the
same reason. A record starts with an empty memory, rows share nothing and no buffer exists: the ancestors overwrote one
with the batch's mean state in every call, so the same input twice gave different logits (facts B1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.cognate.layout import Layout
from models.cognate.scan import scan
from models.cognate.specialisation import Specialisation
from models.cognate.state import MemoryState

WIDTH = 0.1  # of surprise, from a write strength of one half to 0.73
_TINY = 1e-18  # its square is still normal in float32


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
        self.down = nn.Linear(width, memory, bias=False)
        self.up = nn.Linear(memory, width, bias=False)

    def forward(self, y: Tensor, layout: Layout, habit: Specialisation, past: MemoryState | None) -> Reading:
        """Reads and writes every position; ``past`` is the state that earlier positions left."""
        content = self.down(y)
        with torch.autocast(y.device.type, enabled=False):
            content = content.to(torch.promote_types(content.dtype, torch.float32))
            usual = usual_content(content, layout, habit, past)
            write = write_strength(content, usual, layout, habit, past)
            held, fill = held_content(content, write, layout, habit, past)
            mean = held / fill.clamp(min=_TINY).unsqueeze(2)
        state = MemoryState(*(at_end(each, layout) for each in (held, fill, usual)))
        return Reading(self.up(mean.to(y.dtype)), write, state)


def usual_content(content: Tensor, layout: Layout, habit: Specialisation, past: MemoryState | None) -> Tensor:
    """U [B, T, d_mem]: the moving average of all contents, written or not."""
    rate = 1.0 / habit.memory_capacity
    decay = content.new_full((1, content.shape[1]), 1.0 - rate).log()
    return scan(content * rate, decay, layout.runs, None if past is None else past.usual, layout.before)


def write_strength(
    content: Tensor, usual: Tensor, layout: Layout, habit: Specialisation, past: MemoryState | None
) -> Tensor:
    """w [B, T]: by surprise, which is one half where nothing came before; 0 at padding."""
    first = torch.zeros_like(usual[:, :1]) if past is None else past.usual.unsqueeze(1)
    before = torch.cat((first, usual[:, :-1]), dim=1)
    if layout.runs is not None:
        start = layout.runs[:, :1] if layout.before is None else layout.before.unsqueeze(1)
        carried = layout.runs == torch.cat((start, layout.runs[:, :-1]), dim=1)
        before = before * carried.unsqueeze(2)
    write = ((surprise(content, before) - habit.surprise_threshold) / WIDTH).sigmoid()
    return write if layout.real is None else write * layout.real


def surprise(content: Tensor, usual: Tensor) -> Tensor:
    """``(1 - cosine) / 2`` over the last dimension, in 0..1; one half where either is zero."""
    size = (content.square().sum(-1) + _TINY) * (usual.square().sum(-1) + _TINY)
    return 0.5 * (1.0 - (content * usual).sum(-1) * size.rsqrt())


def held_content(
    content: Tensor, write: Tensor, layout: Layout, habit: Specialisation, past: MemoryState | None
) -> tuple[Tensor, Tensor]:
    """M [B, T, d_mem] and F [B, T], one scan for both."""
    rate = (write / habit.memory_capacity).unsqueeze(2)
    added = torch.cat((content * rate, rate), dim=2)
    initial = None if past is None else torch.cat((past.content, past.fill.unsqueeze(1)), dim=1)
    states = scan(added, torch.log1p(-rate.squeeze(2)), layout.runs, initial, layout.before)
    return states[..., :-1], states[..., -1]


def at_end(states: Tensor, layout: Layout) -> Tensor:
    """[B, ...] of [B, T, ...]: at each row's last position that is not padding."""
    if layout.last is None:
        return states[:, -1]
    return states[torch.arange(len(states), device=states.device), layout.last]


def held_tokens(write: Tensor, habit: Specialisation, runs: Tensor | None = None) -> Tensor:
    """How many tokens the memory holds after each position, [B, T]: Kish's effective number of its weights.

    Of write strengths [B, T] from an empty memory; 0 where nothing was written.
    """
    rate = write / habit.memory_capacity
    kept = torch.log1p(-rate)
    total = scan(rate.unsqueeze(2), kept, runs).squeeze(2)
    squares = scan(rate.square().unsqueeze(2), 2.0 * kept, runs).squeeze(2)
    return total.square() / squares.clamp(min=torch.finfo(squares.dtype).tiny)
