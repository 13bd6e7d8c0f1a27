"""Faults that show when the model is trained, written and loaded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from suites.preflight import healthy
from suites.preflight.faults.registry import Net, broken, program
from suites.preflight.healthy import adam, small_net


@broken("overfit_batch", "not_learned")
def equal_inputs_with_other_targets() -> dict[str, Any]:
    return program(small_net(), batch=(torch.ones(24, 10), torch.arange(24) % 4))


@broken("tied_weights", "equal_but_not_tied")
def untied_by_a_copy() -> dict[str, Any]:
    arguments = healthy.language(tie=False)
    model = arguments["model"]
    model.head.weight.data = model.embedding.weight.data.clone()
    return {**arguments, "optimizer": adam(model)}


@broken("tied_weights", "untied")
def untied_by_loading() -> dict[str, Any]:
    class Unties(healthy.Language):
        def load_state_dict(self, state: Any, *args: Any, **kwargs: Any) -> Any:
            self.head.weight = nn.Parameter(self.head.weight.detach().clone())
            return super().load_state_dict(state, *args, **kwargs)

    model = Unties()
    return {**healthy.language(), "model": model, "optimizer": adam(model)}


@broken("checkpoint_round_trip", "not_restored")
def head_left_out_of_the_state() -> dict[str, Any]:
    class Forgets(Net):
        def state_dict(self, *args: Any, **kwargs: Any) -> Any:
            state = super().state_dict(*args, **kwargs)
            return {name: tensor for name, tensor in state.items() if "head" not in name}

        def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:  # noqa: ARG002
            return super().load_state_dict(state, strict=False)

    return program(Forgets())


@broken("resume_equal", "jumps")
def running_mean_as_an_attribute() -> dict[str, Any]:
    class Normalises(Net):
        def __init__(self) -> None:
            super().__init__()
            self.mean = torch.zeros(10)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach() + 0.01
            return super().forward(x - self.mean)

    return program(Normalises())


@broken("batch_of_one", "statistics_of_one")
def batch_norm_of_one_row() -> dict[str, Any]:
    return healthy.classifier(rows=1)
