"""An exponential moving average of the weights: what is validated and saved in place of the last step's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lvmcheck.errors import InputError
from models.checkpoints.state import TrainingState


class WeightEMA:
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
        last = {name: p.detach().clone() for name, p in self.live.items()}
        self._set(self.mean)
        try:
            yield
        finally:
            self._set(last)

    def state(self) -> TrainingState:
        """Copies of the last step's weights on the CPU, by name, from which training continues, and the step count."""
        return TrainingState({name: p.detach().cpu().clone() for name, p in self.live.items()}, {"steps": self.steps})

    def load(self, state: TrainingState) -> None:
        """Takes the model's present weights as the average and restores the last step's weights from ``state``.

        Raises:
            InputError: a weight is missing or has another shape.
        """
        raw = state.tensors
        if {name: t.shape for name, t in raw.items()} != {name: p.shape for name, p in self.live.items()}:
            raise InputError("checkpoint", "expected the weights of the last step, got others", key="state.ema")
        self.steps = int(state.values["steps"])
        for name, p in self.live.items():
            self.mean[name].copy_(p.detach())
        self._set(raw)

    @torch.no_grad()
    def _set(self, weights: Mapping[str, Tensor]) -> None:
        for name, p in self.live.items():
            p.copy_(weights[name])
