"""A device that computes something else than the CPU is found out; here a device is wrong on its second call."""

from __future__ import annotations

import math
import unittest
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lvmcheck.errors import InputError
from lvmcheck.testing.parity import Parity, StepDiffersError, assert_same_step, compare, worst
from models import registry
from models.lvm.amn import AMN
from models.runtime.parity import assert_matches_cpu, squared_error

CPU = torch.device("cpu")
ACCELERATOR = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
TWO = ("cpu", "cpu")


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


class Classifier(nn.Module):
    """With dropout, which is another one each time, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Late(torch.optim.SGD):
    """A device whose optimizer moves nothing on its second device."""

    made = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        Late.made += 1
        self.number = Late.made

    def step(self, closure: Any = None) -> None:
        if self.number % 2:
            super().step(closure)


def classifier() -> tuple[Classifier, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    return Classifier(), (torch.randn(16, 5), torch.arange(16) % 3)


@pytest.mark.parametrize("kind", ["amn", "gru", "lstm"])
def test_a_device_agrees_with_itself(kind: str) -> None:
    torch.manual_seed(0)
    model = registry.build(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert compare(model, batch(768), CPU, loss=squared_error).difference == 0.0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "optimizer",
    [None, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), torch.optim.Adam],
    ids=["default", "sgd", "own"],
)
def test_any_model_loss_and_optimizer_agree(optimizer: Any) -> None:
    model, data = classifier()
    if optimizer is torch.optim.Adam:  # that of the training, for the head alone
        optimizer = torch.optim.Adam([{"params": model.head.parameters(), "lr": 0.01}], weight_decay=0.1)
    found = assert_same_step(model, data, TWO, loss=nn.CrossEntropyLoss(), optimizer=optimizer)
    assert [(each.device, each.reference, each.difference) for each in found] == [("cpu", "cpu", 0.0)]
    assert model.body[2].p == 0.5


def test_a_wrong_gradient_names_its_parameter() -> None:
    torch.manual_seed(0)
    Twice.calls = 0
    with pytest.raises(StepDiffersError) as caught:
        assert_same_step(Wrong(12, 4, 6), batch(), TWO, loss=squared_error)
    assert (caught.value.parity.part, caught.value.layer) == ("gradient", "Linear")
    assert caught.value.parity.difference == pytest.approx(1.0)
    Twice.calls = 0
    with pytest.raises(
        InputError, match=r"device cpu: the gradient of \S+ \(\w+\) on cpu differs .* by 1 of its largest"
    ):
        assert_matches_cpu(Wrong(12, 4, 6), *batch(), CPU)


def test_an_optimizer_that_does_not_step_is_found() -> None:
    model, data = classifier()
    with pytest.raises(StepDiffersError) as caught:
        assert_same_step(model, data, TWO, loss=nn.CrossEntropyLoss(), optimizer=lambda p: Late(p, lr=0.1))
    assert (caught.value.parity.part, caught.value.parity.difference) == ("step", 1.0)


def test_a_wrong_step_is_found_and_nan_is_never_equal() -> None:
    right = {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([1e-9])}
    assert worst("step", right, right)[2] == 0.0
    part, name, difference = worst("step", right, {**right, "a": torch.tensor([1.0, -2.1])})
    assert (part, name, difference) == ("step", "a", pytest.approx(0.05))
    assert worst("step", right, {**right, "b": torch.tensor([math.nan])})[1] == "b"
    assert worst("gradient", right, {"a": right["a"]})[1:] == ("b", math.inf)
    assert not Parity("mps", "cpu", "step", "a", math.nan).holds


def test_what_is_rounding_is_compared_with_the_rest_of_the_model() -> None:
    wanted = {"bias": torch.tensor([1e-12]), "weight": torch.tensor([1.0])}
    got = {"bias": torch.tensor([-3e-12]), "weight": torch.tensor([1.0])}
    assert worst("gradient", wanted, got)[2] > 1
    assert worst("gradient", wanted, got, at_least=1e-5)[2] < 1e-3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"devices": ["cpu", "cudo"]}, "device: no device 'cudo'. Did you mean 'cuda'?"),
        ({"devices": []}, "devices: expected at least one device, got none"),
        ({"batch": 3}, "batch: expected a batch with tensors, got int"),
        ({"model": nn.ReLU()}, "model: expected a module that is trained, got ReLU"),
        ({"loss": 3}, "loss: expected a function, got int"),
        ({"optimizer": 3}, "optimizer: expected an optimizer or a function that makes one, got int"),
        ({"optimizer": torch.optim.SGD([nn.Parameter(torch.ones(1))])}, "optimizer: holds parameters that the model"),
    ],
)
def test_bad_input_is_one_line(changed: dict[str, Any], said: str) -> None:
    model, data = classifier()
    asked = {"model": model, "batch": data, "devices": TWO, "loss": nn.CrossEntropyLoss(), **changed}
    with pytest.raises(InputError) as caught:
        assert_same_step(**asked)
    assert said in str(caught.value)


@pytest.mark.skipif(ACCELERATOR is not None, reason="this machine has another device")
@pytest.mark.parametrize("devices", ["all", ["cuda"], "mps"])
def test_a_machine_without_the_device_skips_and_says_so(devices: Any) -> None:
    model, data = classifier()
    call: Callable[[], object] = lambda: assert_same_step(model, data, devices, loss=nn.CrossEntropyLoss())  # noqa: E731
    with pytest.raises(unittest.SkipTest, match="here"):
        call()


@pytest.mark.skipif(ACCELERATOR is None, reason="no accelerator here")
@pytest.mark.parametrize("kind", registry.model_kinds())
def test_an_accelerator_computes_what_the_cpu_does(kind: str) -> None:
    torch.manual_seed(0)
    assert ACCELERATOR is not None
    assert assert_matches_cpu(registry.build(kind), *batch(768), ACCELERATOR).holds
