"""Faults of the original project's model, as small changes of the real one (history 9, 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from models.cognate import attention, layout
from models.cognate import model as cognate
from models.cognate.halting import Halting, HaltingHead
from models.cognate.layout import Layout
from models.cognate.memory import LongTermMemory, Reading
from models.cognate.output import CognateOutput
from models.cognate.specialisation import Specialisation
from models.cognate.state import KeyValue, MemoryState


# -- no causal mask ----------------------------------------------------------------------------------------------------
def both_ways(queries: Tensor, keys: Tensor, window: int) -> Tensor:
    """``|i - j| < window``, as the original project's sliding window was."""
    return (queries.unsqueeze(1) - keys).abs() < window


def attend_both_ways(query: Tensor, keys: KeyValue, layout: Layout) -> Tensor:
    """The real attention without its causal default."""
    mixed = F.scaled_dot_product_attention(query, keys[0], keys[1], attn_mask=layout.mask)
    return mixed.transpose(1, 2).flatten(2)


def no_causal_mask() -> list[mock._patch[object]]:
    """Every attention of the model, backbone and recursion, looks both ways."""
    return [mock.patch.object(layout, "visible", both_ways), mock.patch.object(attention, "attend", attend_both_ways)]


# -- a memory that everybody shares ------------------------------------------------------------------------------------
class LeakingMemory(LongTermMemory):
    """Begins with a buffer and overwrites it with the batch's mean in every call, in evaluation too."""

    memory_state: Tensor

    def __init__(self, width: int, memory: int) -> None:
        super().__init__(width, memory)
        self.register_buffer("memory_state", torch.zeros(1, memory))

    def forward(self, y: Tensor, layout: Layout, specialisation: Specialisation, past: MemoryState | None) -> Reading:
        """As the real one, but never from an empty memory."""
        if past is None:
            kept = self.memory_state.expand(len(y), -1)
            past = MemoryState(kept, torch.ones_like(kept[:, 0]), kept)
            if layout.runs is not None:
                layout = replace(layout, before=layout.runs[:, 0])
        reading = super().forward(y, layout, specialisation, past)
        with torch.no_grad():
            self.memory_state.copy_(reading.state.content.mean(dim=0, keepdim=True))
        return reading


def memory_between_batches() -> list[mock._patch[object]]:
    """The memory of the module's text, in every model that is made meanwhile."""
    return [mock.patch.object(cognate, "LongTermMemory", LeakingMemory)]


# -- halting heads that are not trained --------------------------------------------------------------------------------
class FrozenHead(HaltingHead):
    """Its parameters are frozen when it is made."""

    def __init__(self, width: int, steps: int, first_loss: float) -> None:
        super().__init__(width, steps, first_loss)
        self.requires_grad_(False)


class HeadWithoutGradient(HaltingHead):
    """Its forward pass runs under no_grad."""

    def forward(self, latents: Sequence[Tensor]) -> Halting:
        with torch.no_grad():
            return super().forward(latents)


class DetachedHead(HaltingHead):
    """What it says is detached."""

    def forward(self, latents: Sequence[Tensor]) -> Halting:
        found = super().forward(latents)
        return Halting(found.probability.detach(), found.weight.detach())


def head(made: type[HaltingHead]) -> list[mock._patch[object]]:
    """That head in every model that is made meanwhile."""
    return [mock.patch.object(cognate, "HaltingHead", made)]


# -- a halting head without a gradient ---------------------------------------------------------------------------------
def without_halting(output: CognateOutput) -> CognateOutput:
    """The output as the original project's loss saw it: halting is no part of the graph, and only the last step
    counts."""
    last = torch.zeros_like(output.halt_weight)
    last[-1] = 1.0
    return replace(
        output,
        halt_weight=last,
        halt_probability=output.halt_probability.detach(),
        ponder=output.halting_steps.to(output.ponder.dtype),
    )
