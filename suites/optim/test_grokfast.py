"""The gradient filter against its transfer function, by feeding it sinusoids."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.optim.grokfast import low_pass_, response
from models.optim.mugrokfast import MuGrokfast
from suites.known_failures.cognate_optimizers import ReversedGrokfast

torch.set_num_threads(1)
ALPHA = 0.8


def amplitude(outputs: list[float], frequency: float, first: int) -> complex:
    """Least squares of the outputs from step ``first`` on cosine and sine of ``frequency``: the phasor."""
    steps = torch.arange(first, first + len(outputs), dtype=torch.float64)
    waves = torch.stack([torch.cos(frequency * steps), -torch.sin(frequency * steps)], dim=1)
    real, imaginary = torch.linalg.lstsq(waves, torch.tensor(outputs, dtype=torch.float64)[:, None]).solution.flatten()
    return complex(float(real), float(imaginary))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(frequency=st.floats(0.05, 3.0), alpha=st.sampled_from([0.5, 0.8, 0.95]), gain=st.floats(0.0, 3.0))
def test_frequency_response_is_that_of_the_low_pass(frequency: float, alpha: float, gain: float) -> None:
    warm = math.ceil(math.log(1e-9) / math.log(alpha))
    average = torch.ones(1, dtype=torch.float64)  # the first gradient, cos 0
    outputs = []
    for step in range(warm + 200):
        gradient = torch.tensor([math.cos(frequency * step)], dtype=torch.float64)
        low_pass_([gradient], [average], alpha=alpha, gain=gain)
        outputs.append(float(gradient))
    assert amplitude(outputs[warm:], frequency, warm) == pytest.approx(
        response(frequency, alpha=alpha, gain=gain), abs=1e-6
    )


def measured(kind: type[MuGrokfast], frequency: float) -> float:
    """|H| of the whole optimizer from what it leaves in ``.grad``."""
    parameter = nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
    group: dict[str, Any] = {"name": "hidden", "params": [parameter], "kind": "muon"}
    optimizer = kind([group], grokfast_alpha=ALPHA, grokfast_lambda=2.0)
    outputs = []
    for step in range(150):
        parameter.grad = torch.full((2, 2), math.cos(frequency * step), dtype=torch.float64)
        optimizer.step()
        grad: Tensor = parameter.grad
        outputs.append(float(grad[0, 0]))
    return abs(amplitude(outputs[50:], frequency, 50))


def test_the_optimizer_raises_slow_gradients_and_the_reversed_one_fast_gradients() -> None:
    slow, fast = 0.02, 3.0
    assert measured(MuGrokfast, slow) == pytest.approx(abs(response(slow, alpha=ALPHA, gain=2.0)), abs=1e-3)
    assert measured(MuGrokfast, fast) == pytest.approx(abs(response(fast, alpha=ALPHA, gain=2.0)), abs=1e-3)
    assert measured(MuGrokfast, slow) > 2.8
    assert measured(MuGrokfast, fast) < 1.3
    assert measured(ReversedGrokfast, slow) < 1.2
    assert measured(ReversedGrokfast, fast) > 2.7


def test_a_constant_gradient_is_raised_from_the_first_step_as_published() -> None:
    for steps in (1, 5):
        average = torch.full((3,), 2.0)
        for _ in range(steps):
            gradient = torch.full((3,), 2.0)
            low_pass_([gradient], [average], alpha=0.98, gain=0.5)
        assert torch.equal(gradient, torch.full((3,), 3.0))
    low_pass_([], [], alpha=0.98, gain=0.5)
