"""Faults of outputs, modes and the batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from suites.preflight.faults.registry import Net, broken, program
from suites.preflight.healthy import small_net


@broken("outputs_in_range", "target_out_of_range")
def sigmoid_on_targets_beyond_one() -> dict[str, Any]:
    model = nn.Sequential(small_net(10, 1), nn.Sigmoid())
    return program(model, functional.mse_loss, (torch.randn(24, 10), 3 * torch.randn(24, 1)))


@broken("outputs_in_range", "not_finite")
def log_of_negative_numbers() -> dict[str, Any]:
    class Log(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).log()

    return program(Log())


@broken("output_varies", "spread")
def zero_initialised() -> dict[str, Any]:
    model = small_net()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return program(model)


@broken("eval_deterministic", "functional_dropout")
def functional_dropout_in_eval() -> dict[str, Any]:
    class Drops(Net):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(functional.dropout(self.hidden(x), 0.3))
            return out

    return program(Drops())


@broken("eval_deterministic", "functional_dropout")
def attention_dropout_in_eval() -> dict[str, Any]:
    class Attends(Net):
        def forward(self, x: Tensor) -> Tensor:
            h = self.hidden(x).view(len(x), 4, 8)
            out: Tensor = self.head(functional.scaled_dot_product_attention(h, h, h, dropout_p=0.5).flatten(1))
            return out

    return program(Attends())


@broken("eval_deterministic", "state_carried")
def state_carried_over_calls() -> dict[str, Any]:
    class Carries(Net):
        former: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            h = self.hidden(x)
            carried = h if self.former is None or len(self.former) != len(h) else h + 0.5 * self.former
            self.former = carried.detach()
            out: Tensor = self.head(carried)
            return out

    return program(Carries())


@broken("eval_deterministic", "buffers_change")
def buffer_changes_in_eval() -> dict[str, Any]:
    class Counts(Net):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            return super().forward(x)

    return program(Counts())


@broken("batch_unchanged", "changed")
def input_rescaled_in_place() -> dict[str, Any]:
    class Rescales(Net):
        def forward(self, x: Tensor) -> Tensor:
            x /= 255
            return super().forward(x)

    return program(Rescales())
