"""An exponential moving average of the weights: what is validated and saved in place of the last step's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lvmcheck.errors import InputError


class WeightAverage:
    """Moves towards the trainable parameters after each step: ``a <- decay a + (1 - decay) w`` (Polyak averaging).

    The decay starts lower, ``(1 + steps) / (10 + steps)``, so that the first steps' weights are forgotten soon.

    Args:
        decay: in 0..1; 0 is the weights themselves, and then nothing is held or copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.live = {name: p for name, p in model.named_parameters() if p.requires_grad} if decay > 0 else {}
        self.mean = {name: p.detach().clone() for name, p in self.live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """After an optimizer step."""
        if not self.live:
            return
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.mean.values()), [p.detach() for p in self.live.values()], 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with the averaged weights; the last step's are put back afterwards, to the bit."""
        kept = {name: p.detach().clone() for name, p in self.live.items()}
        self._put(self.mean)
        try:
            yield
        finally:
            self._put(kept)

    def raw(self) -> dict[str, Tensor]:
        """Copies of the last step's weights on the CPU, by name: what training continues from."""
        return {name: p.detach().cpu().clone() for name, p in self.live.items()}

    def load(self, steps: int, raw: Mapping[str, Tensor]) -> None:
        """Continues: the model holds the averaged weights now and goes on from the ``raw`` ones.

        Raises:
            InputError: a weight is missing or has another shape.
        """
        if {name: t.shape for name, t in raw.items()} != {name: p.shape for name, p in self.live.items()}:
            raise InputError("checkpoint", "expected the weights of the last step, got others", key="state.raw")
        self.steps = steps
        for name, p in self.live.items():
            self.mean[name].copy_(p.detach())
        self._put(raw)

    @torch.no_grad()
    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, p in self.live.items():
            p.copy_(weights[name])
