"""Whether an accelerator computes the steps of a vector model as the CPU does, asked before it trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lvmcheck.errors import InputError
from lvmcheck.testing.parity import Parity, StepDiffersError, assert_same_step


def assert_matches_cpu(model: nn.Module, context: Tensor, target: Tensor, device: torch.device) -> Parity:
    """What differs most in gradients of the mean squared error and in steps of AdamW.

    Args:
        context: [B, T, D]. target: [B, D].

    Raises:
        InputError: the device does not compute what the CPU does; the first parameter to look at is named.
    """
    try:
        return assert_same_step(model, (context, target), [torch.device("cpu"), device], loss=squared_error)[0]
    except StepDiffersError as problem:
        fix = 'Train with device = "cpu", or with another torch.'
        raise InputError(f"device {device}", str(problem), fix=fix) from None


def squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Of raw predictions."""
    context, target = batch
    return nn.functional.mse_loss(model(context, return_raw=True)[0], target)
