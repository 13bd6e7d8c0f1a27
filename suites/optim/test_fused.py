"""AdamW without what surrounds its kernel is AdamW, to the bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from models.fast.fused_adamw import FusedAdamW

Network = nn.Sequential


def network(width: int) -> Network:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, width))


def pair(width: int = 7) -> tuple[tuple[Network, AdamW], tuple[Network, FusedAdamW]]:
    one, other = network(width), network(width)
    return (
        (one, AdamW(one.parameters(), lr=1e-2, weight_decay=0.1, fused=True)),
        (other, FusedAdamW(other.parameters(), lr=1e-2, weight_decay=0.1)),
    )


def train(model: Network, optimizer: AdamW, steps: range, *, without: int | None = None) -> None:
    """Steps on data of their own; ``without`` leaves that parameter without a gradient."""
    for step in steps:
        x = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad(set_to_none=True)
        model(x).square().sum().backward()
        if without is not None:
            list(model.parameters())[without].grad = None
        optimizer.param_groups[0]["lr"] = 1e-2 / (1 + step)
        optimizer.step()


def same(one: tuple[Network, AdamW], other: tuple[Network, AdamW], *, bits: bool = True) -> bool:
    def equal(a: torch.Tensor, b: torch.Tensor) -> bool:
        return torch.equal(a, b) if bits else torch.allclose(a, b, rtol=1e-5, atol=1e-7)

    if not all(equal(a, b) for a, b in zip(one[0].parameters(), other[0].parameters(), strict=True)):
        return False
    states = [optimizer.state_dict()["state"] for _, optimizer in (one, other)]
    return states[0].keys() == states[1].keys() and all(
        equal(states[0][index][name], states[1][index][name]) for index in states[0] for name in states[0][index]
    )


def test_every_step_is_that_of_torch() -> None:
    one, other = pair()
    for step in range(20):
        train(*one, range(step, step + 1))
        train(*other, range(step, step + 1))
        assert same(one, other)


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    one, other = pair()
    for which in (one, other):
        train(*which, range(3))
        train(*which, range(3, 5), without=2)
        train(*which, range(5, 8))
    assert same(one, other)


@pytest.mark.parametrize("turn", [False, True])
def test_the_state_goes_into_either(turn: bool) -> None:
    one, other = pair()
    train(*one, range(4))
    train(*other, range(4))
    saved = copy.deepcopy((one if turn else other)[1].state_dict())  # loading copies nothing
    fresh = pair()[1]
    fresh[0].load_state_dict(one[0].state_dict())
    fresh[1].load_state_dict(saved)
    train(*fresh, range(4, 9))
    train(*one, range(4, 9))
    assert same(one, fresh)


def test_groups_are_refused() -> None:
    groups = [{"params": [layer.weight]} for layer in (nn.Linear(2, 2), nn.Linear(2, 2))]
    with pytest.raises(ValueError, match="expected one group of parameters, got 2"):
        FusedAdamW(groups, lr=1e-3, weight_decay=0.0)  # type: ignore[arg-type]


def written(optimizer: FusedAdamW, model: Network, step: int) -> None:
    """A step whose gradients are written into the optimizer's buffers."""
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
    gradients = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    for parameter, place, gradient in zip(model.parameters(), optimizer.grad_buffers(), gradients, strict=True):
        parameter.grad = place.copy_(gradient)
    optimizer.param_groups[0]["lr"] = 1e-2 / (1 + step)
    optimizer.step()


@pytest.mark.parametrize("width", [7, 16])
def test_gradients_in_its_room_are_stepped_in_one_pass_and_like_any_others(width: int) -> None:
    one, (model, optimizer) = pair(width)
    train(model, optimizer, range(2))
    assert optimizer.flat_gradient() is None
    for step in range(2, 9):
        written(optimizer, model, step)
        whole = optimizer.flat_gradient()
        assert whole is not None
        squares = sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None)
        assert float(whole.square().sum()) == pytest.approx(squares, rel=1e-5)
    train(model, optimizer, range(9, 11))
    assert optimizer.flat_gradient() is None  # autograd put its own there
    written(optimizer, model, 11)
    train(*one, range(12))
    assert same(one, (model, optimizer), bits=width % 16 == 0)


def test_a_loaded_state_moves_into_the_blocks() -> None:
    one, (model, optimizer) = pair(16)
    for step in range(4):
        written(optimizer, model, step)
    saved = copy.deepcopy(optimizer.state_dict())
    fresh = pair(16)[1]
    fresh[1].grad_buffers()
    fresh[0].load_state_dict(model.state_dict())
    fresh[1].load_state_dict(saved)
    for step in range(4, 7):
        written(fresh[1], fresh[0], step)
    train(*one, range(7))
    assert same(one, fresh)
