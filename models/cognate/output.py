"""What one call of the model gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from models.cognate.state import State


@dataclass(frozen=True)
class CognateOutput:
    """Of B rows of T tokens and S recursion steps.

    Attributes:
        head: the model's map from hidden states to logits.
        hidden: [B, T, d], what the head reads: in training the expectation over steps by ``halt_weight`` (the head is
            linear, so that its logits are the expected logits), in evaluation the step where each token halted.
        step_hidden: S of [B, T, d]; ``head`` of one gives the logits of that step.
        halt_probability: [S, B, T], of halting at a step when it was reached. halt_weight: [S, B, T], sums to 1 over S.
        halting_steps: [B, T] int64 in 1..S, by the threshold rule.
        ponder: [B, T], expected steps, differentiable.
        gate: [B, T, d], share of the backbone in each channel. write: [B, T], how strongly the memory wrote.
        memory: [B, d_mem], after the last token that is not padding.
        state: for the next call, where this one was given a state.
    """

    head: Callable[[Tensor], Tensor]
    hidden: Tensor
    step_hidden: tuple[Tensor, ...]
    halt_probability: Tensor
    halt_weight: Tensor
    halting_steps: Tensor
    ponder: Tensor
    gate: Tensor
    write: Tensor
    memory: Tensor
    state: State | None = None

    @cached_property
    def logits(self) -> Tensor:
        """[B, T, V]: after halting. Made when first asked for, with the weights as they are then: training losses need
        those of scored positions only, and at a vocabulary of 50,000 the head is most of the work.
        """
        with torch.set_grad_enabled(self.differentiable):
            return self.head(self.hidden)

    @property
    def differentiable(self) -> bool:
        """Whether what is made of it needs a gradient: not when the call was made without."""
        return torch.is_grad_enabled() and self.hidden.requires_grad


def expected_hidden(hidden: tuple[Tensor, ...], weight: Tensor) -> Tensor:
    """Mean [B, T, d] over steps by the halting distribution [S, B, T]."""
    return torch.stack([h * w.unsqueeze(2).to(h.dtype) for h, w in zip(hidden, weight, strict=True)]).sum(dim=0)


def halted_hidden(hidden: tuple[Tensor, ...], steps: Tensor) -> Tensor:
    """[B, T, d]: each token's hidden state after its own number of steps [B, T]."""
    picked = hidden[-1]
    for number in range(len(hidden) - 1, 0, -1):
        picked = torch.where((steps == number).unsqueeze(2), hidden[number - 1], picked)
    return picked
