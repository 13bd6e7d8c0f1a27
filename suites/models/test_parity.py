"""An accelerator that computes something else than the CPU is found out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lvmcheck.errors import InputError
from models import registry
from models.lvm.amn import AMN
from models.runtime.parity import Parity, assert_matches_cpu, compare, worst

CPU = torch.device("cpu")
ACCELERATOR = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None


def batch(width: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(8, 6, width, generator=generator), dim=-1)
    return rows[:, :-1], rows[:, -1]


class Twice(torch.autograd.Function):
    """A device whose gradient is twice what it should be, from the second pass on."""

    calls = 0

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, grad: Tensor) -> Tensor:
        Twice.calls += 1
        return grad * Twice.calls


class Wrong(AMN):
    def raw(self, x: Tensor) -> Tensor:
        return Twice.apply(super().raw(x))


@pytest.mark.parametrize("kind", ["amn", "gru", "lstm"])
def test_a_device_agrees_with_itself(kind: str) -> None:
    torch.manual_seed(0)
    model = registry.build(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert compare(model, *batch(768), CPU).difference == 0.0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_wrong_gradient_names_its_parameter() -> None:
    torch.manual_seed(0)
    Twice.calls = 0
    with pytest.raises(InputError, match=r"device cpu: the gradient of \S+ differs .* by 1 of its largest value"):
        assert_matches_cpu(Wrong(12, 4, 6), *batch(), CPU)


def test_a_wrong_step_is_found_and_nan_is_never_equal() -> None:
    right = {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([1e-9])}
    assert worst("step", right, right).holds
    off = worst("step", right, {**right, "a": torch.tensor([1.0, -2.1])})
    assert off.what == "step of a"
    assert off.difference == pytest.approx(0.05)
    broken = worst("step", right, {**right, "b": torch.tensor([math.nan])})
    assert broken.what == "step of b"
    assert not broken.holds
    assert not Parity("step of a", math.nan).holds


def test_what_is_rounding_is_compared_with_the_rest_of_the_model() -> None:
    wanted = {"bias": torch.tensor([1e-12]), "weight": torch.tensor([1.0])}
    got = {"bias": torch.tensor([-3e-12]), "weight": torch.tensor([1.0])}
    assert not worst("gradient", wanted, got).holds
    assert worst("gradient", wanted, got, at_least=1e-5).holds


@pytest.mark.skipif(ACCELERATOR is None, reason="no accelerator here")
@pytest.mark.parametrize("kind", registry.model_kinds())
def test_an_accelerator_computes_what_the_cpu_does(kind: str) -> None:
    torch.manual_seed(0)
    assert ACCELERATOR is not None
    assert assert_matches_cpu(registry.build(kind), *batch(768), ACCELERATOR).holds
