"""Faults of optimizer and gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from suites.preflight.faults.registry import Net, broken, program
from suites.preflight.healthy import adam, labelled


@broken("optimizer_coverage", "missing")
def head_not_in_the_optimizer() -> dict[str, Any]:
    model = Net()
    optimizer = torch.optim.Adam([*model.first.parameters(), *model.second.parameters()])
    return program(model, optimizer=optimizer)


@broken("optimizer_coverage", "foreign")
def optimizer_of_another_model() -> dict[str, Any]:
    model, other = Net(), nn.Linear(3, 7)
    return program(model, optimizer=torch.optim.Adam([*model.parameters(), *other.parameters()]))


@broken("optimizer_coverage", "replaced")
def head_replaced_after_the_optimizer() -> dict[str, Any]:
    model = Net()
    optimizer = adam(model)
    model.head = nn.Linear(32, 4)
    return program(model, optimizer=optimizer)


@broken("optimizer_coverage", "twice")
def layer_in_two_optimizers() -> dict[str, Any]:
    model = Net()
    return program(model, optimizer=[adam(model), torch.optim.SGD(model.head.parameters(), lr=0.1)])


@broken("gradients", "no_gradient")
def body_under_no_grad() -> dict[str, Any]:
    class Cut(Net):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                h = self.hidden(x)
            out: Tensor = self.head(h)
            return out

    return program(Cut())


@broken("gradients", "zero_gradient")
def dead_units() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
    nn.init.constant_(model[0].bias, -100.0)  # type: ignore[arg-type]
    return program(model)


@broken("gradients", "not_finite")
def norm_of_zero() -> dict[str, Any]:
    class Norm(Net):
        def forward(self, x: Tensor) -> Tensor:
            h = self.hidden(x)
            out: Tensor = (
                self.head(h) + (h - h).norm(dim=1, keepdim=True) + (h * 0).square().sum(1, keepdim=True).sqrt()
            )
            return out

    return program(Norm())


@broken("parameters_move", "lr_zero")
def learning_rate_zero() -> dict[str, Any]:
    model = Net()
    return program(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.0))


@broken("parameters_move", "not_moved")
def updates_lost_in_bfloat16() -> dict[str, Any]:
    model = Net()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    model = model.bfloat16()
    x, y = labelled()
    return program(model, batch=(x.bfloat16(), y), optimizer=torch.optim.Adam(model.parameters(), lr=1e-5))


@broken("parameters_move", "frozen_moves")
def declared_frozen_and_in_the_optimizer() -> dict[str, Any]:
    return program(Net(), frozen=["first.*"])
