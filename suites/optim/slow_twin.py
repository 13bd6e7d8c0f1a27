"""MuGrokfast once more, one parameter and one formula at a time, from the papers alone; and a small net to step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class SmallNet(nn.Module):
    """Every kind of parameter: table with a tied head, tall, wide and square matrices, norm, bias, one-row head."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.table = nn.Embedding(11, 6)
        self.up = nn.Linear(6, 10)
        self.square = nn.Linear(10, 10, bias=False)
        self.down = nn.Linear(10, 6, bias=False)
        self.norm = nn.LayerNorm(6)
        self.halt = nn.Linear(6, 1)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.norm(self.down(torch.tanh(self.square(torch.tanh(self.up(self.table(tokens)))))))
        logits: Tensor = self.head(hidden) * torch.sigmoid(self.halt(hidden))
        return logits


def fill_gradients(model: nn.Module, step: int) -> None:
    """Gradients that depend on the step and the parameters, so that an error in one step shows in the next."""
    model.zero_grad()
    tokens = torch.randint(0, 11, (4, 7), generator=torch.Generator().manual_seed(step))
    logits = model(tokens).flatten(0, 1)
    loss = torch.nn.functional.cross_entropy(logits, tokens.roll(1, dims=1).flatten())
    loss.backward()  # type: ignore[no-untyped-call]


class SlowTwin:
    """Loops over parameters; settings as in :class:`models.optim.mugrokfast.MuGrokfast`."""

    def __init__(self, model: nn.Module, *, lr: float, muon_lr: float, decay: float, alpha: float, gain: float) -> None:
        self.lr, self.muon_lr, self.decay, self.alpha, self.gain = lr, muon_lr, decay, alpha, gain
        self.params = dict(model.named_parameters())
        self.memory: dict[str, dict[str, Any]] = {name: {} for name in self.params}
        self.steps = 0

    def step(self) -> None:
        """One update of every parameter."""
        self.steps += 1
        for name, parameter in self.params.items():
            assert parameter.grad is not None
            kept, gradient = self.memory[name], parameter.grad.clone()
            kept["mean"] = self.alpha * kept.get("mean", gradient) + (1 - self.alpha) * gradient
            gradient = gradient + self.gain * kept["mean"]
            hidden = parameter.ndim == 2 and min(parameter.shape) > 1 and not name.startswith("table")
            update = self._muon(kept, gradient) if hidden else self._adamw(kept, gradient)
            decay = 0.0 if parameter.ndim == 1 or min(parameter.shape) == 1 else self.decay
            rate = self.muon_lr if hidden else self.lr
            parameter.data = parameter.data - rate * decay * parameter.data - rate * update

    def _muon(self, kept: dict[str, Any], gradient: Tensor) -> Tensor:
        kept["momentum"] = 0.95 * kept.get("momentum", torch.zeros_like(gradient)) + 0.05 * gradient
        x: Tensor = 0.05 * gradient + 0.95 * kept["momentum"]
        x = x / x.norm()
        for _ in range(5):
            if x.shape[0] > x.shape[1]:
                gram = x.T @ x
                x = 3.4445 * x - 4.7750 * x @ gram + 2.0315 * x @ gram @ gram
            else:
                gram = x @ x.T
                x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
        return 0.2 * math.sqrt(max(x.shape)) * x

    def _adamw(self, kept: dict[str, Any], gradient: Tensor) -> Tensor:
        kept["first"] = 0.9 * kept.get("first", torch.zeros_like(gradient)) + 0.1 * gradient
        kept["second"] = 0.999 * kept.get("second", torch.zeros_like(gradient)) + 0.001 * gradient**2
        first: Tensor = kept["first"] / (1 - 0.9**self.steps)
        second: Tensor = kept["second"] / (1 - 0.999**self.steps)
        return first / (second.sqrt() + 1e-8)
