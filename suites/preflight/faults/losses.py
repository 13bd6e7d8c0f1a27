"""Faults of the loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from suites.preflight.faults.registry import broken, program
from suites.preflight.healthy import small_net


@broken("initial_loss", "above_uniform")
def head_initialised_too_large() -> dict[str, Any]:
    model = small_net()
    nn.init.normal_(model[2].weight, std=10.0)  # type: ignore[arg-type]
    return program(model)


@broken("loss_depends_on_model", "detached")
def loss_detached() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output.detach(), target)

    return program(small_net(), loss)


@broken("loss_depends_on_model", "target_ignored")
def target_not_used() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001
        return functional.cross_entropy(output, output.argmax(-1))

    return program(small_net(), loss)


@broken("logit_form", "softmax_twice")
def softmax_twice() -> dict[str, Any]:
    return program(nn.Sequential(small_net(), nn.Softmax(-1)))


@broken("logit_form", "wrong_axis")
def softmax_over_the_batch() -> dict[str, Any]:
    return program(nn.Sequential(small_net(), nn.LogSoftmax(0)), functional.nll_loss)


@broken("logit_form", "not_log_probabilities")
def probabilities_into_nll() -> dict[str, Any]:
    return program(nn.Sequential(small_net(), nn.Softmax(-1)), functional.nll_loss)


@broken("logit_form", "sigmoid_twice")
def sigmoid_twice() -> dict[str, Any]:
    model = nn.Sequential(small_net(10, 1), nn.Sigmoid())
    batch = (torch.randn(24, 10), (torch.arange(24) % 2).float()[:, None])
    return program(model, functional.binary_cross_entropy_with_logits, batch)


@broken("loss_broadcasts", "broadcast")
def column_against_row() -> dict[str, Any]:
    return program(small_net(10, 1), functional.mse_loss, (torch.randn(24, 10), torch.randn(24)))


@broken("loss_broadcasts", "broadcast")
def column_minus_row_by_hand() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().mean()

    return program(small_net(10, 1), loss, (torch.randn(24, 10), torch.randn(24)))


@broken("reduction_scale", "summed")
def loss_summed() -> dict[str, Any]:
    return program(small_net(), nn.CrossEntropyLoss(reduction="sum"))


@broken("accumulation_scale", "scaled")
def divided_by_a_fixed_batch_size() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output, target, reduction="sum") / 24

    return program(small_net(), loss)
