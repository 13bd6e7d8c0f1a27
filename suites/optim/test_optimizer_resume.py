"""A run continues to the bit from the optimizer's saved state, and from nothing less than all of it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.optim import Optimizer

from lvmcheck.errors import InputError
from models.checkpoints.checkpoint import canonical
from models.checkpoints.state import TrainingState, capture_optimizer, restore_optimizer
from models.optim.config import parse
from models.optim.factory import build
from suites.optim.slow_twin import SmallNet, fill_gradients

torch.set_num_threads(1)


def stepped(steps: int, table: dict[str, Any]) -> tuple[SmallNet, Optimizer]:
    net = SmallNet()
    optimizer = build(net, parse(table))
    advance(net, optimizer, range(steps))
    return net, optimizer


def advance(net: SmallNet, optimizer: Optimizer, steps: range) -> None:
    for step in steps:
        fill_gradients(net, step)
        optimizer.step()


def twin_of(net: SmallNet, table: dict[str, Any]) -> tuple[SmallNet, Optimizer]:
    other = SmallNet(seed=9)
    other.load_state_dict(net.state_dict())
    return other, build(other, parse(table))


def equal(a: SmallNet, b: SmallNet) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("table", [{}, {"grokfast_lambda": 0.0}, {"kind": "adamw"}])
@pytest.mark.parametrize("way", ["state_dict", "training_state"])
def test_it_continues_to_the_bit(table: dict[str, Any], way: str) -> None:
    net, optimizer = stepped(4, table)
    for group in optimizer.param_groups:
        group["lr"] *= 0.25
    other, fresh = twin_of(net, table)
    if way == "state_dict":
        fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    else:
        state = capture_optimizer(optimizer, net)
        stored = TrainingState(state.tensors, json.loads(canonical(state.values)))
        restore_optimizer(stored, fresh, other)
    advance(net, optimizer, range(4, 8))
    advance(other, fresh, range(4, 8))
    assert equal(net, other)
    untouched, forgetful = twin_of(net, table)
    advance(untouched, forgetful, range(8, 9))
    advance(net, optimizer, range(8, 9))
    assert not equal(net, untouched)  # the state matters, or the comparison above proves nothing


def test_a_parameter_that_never_had_a_gradient_has_no_state_and_the_run_continues() -> None:
    net = SmallNet()
    optimizer = build(net, parse({}))
    for step in range(3):
        fill_gradients(net, step)
        net.halt.weight.grad = None
        optimizer.step()
    state = capture_optimizer(optimizer, net)
    assert not any(key.startswith("halt.weight") for key in state.tensors)
    other, fresh = twin_of(net, {})
    restore_optimizer(state, fresh, other)
    advance(net, optimizer, range(3, 5))
    advance(other, fresh, range(3, 5))
    assert equal(net, other)


@pytest.mark.parametrize(
    "lost",
    [
        "square.weight/average",
        "square.weight/momentum",
        "table.weight/average",
        "table.weight/step",
        "halt.bias/exp_avg",
    ],
)
def test_a_part_of_the_state_is_refused(lost: str) -> None:
    net, optimizer = stepped(2, {})
    state = capture_optimizer(optimizer, net)
    kept = {key: value for key, value in state.tensors.items() if key != lost}
    assert len(kept) == len(state.tensors) - 1
    other, fresh = twin_of(net, {})
    with pytest.raises(InputError, match="got a part of it"):
        restore_optimizer(replace(state, tensors=kept), fresh, other)
    assert not fresh.state


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"class": "AdamW"}, "expected state of MuGrokfast, got 'AdamW'"),
        ({"fields": None}, "got a part of it"),
        ({"fields": {"square.weight": ["momentum"]}}, "got a part of it"),
        ({"lr": [1e-3]}, "expected the rates of 3 parameter groups, got"),
        ({"lr": None}, "expected the rates of 3 parameter groups, got None"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: dict[str, Any], problem: str) -> None:
    net, optimizer = stepped(1, {})
    state = capture_optimizer(optimizer, net)
    other, fresh = twin_of(net, {})
    with pytest.raises(InputError, match=problem.replace("(", r"\(")):
        restore_optimizer(replace(state, values={**state.values, **values}), fresh, other)


def test_state_of_an_unknown_parameter_or_another_shape_is_refused() -> None:
    net, optimizer = stepped(1, {})
    state = capture_optimizer(optimizer, net)
    strange = {**state.tensors, "gone.weight/momentum": torch.zeros(2)}
    with pytest.raises(InputError, match=r"state of an unknown parameter 'gone\.weight'"):
        restore_optimizer(replace(state, tensors=strange), optimizer, net)
    other_shape = {**state.tensors, "square.weight/momentum": torch.zeros(3, 3)}
    with pytest.raises(InputError, match=r"expected \[10, 10\], got \[3, 3\]"):
        restore_optimizer(replace(state, tensors=other_shape), optimizer, net)
