"""MuGrokfast as a whole: descends, agrees with a slow twin and torch's AdamW, obeys its settings, hides nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lvmcheck.errors import InputError
from models.optim.config import parse
from models.optim.factory import build
from models.optim.groups import parameter_groups
from models.optim.mugrokfast import MuGrokfast
from suites.optim.slow_twin import SlowTwin, SmallNet, fill_gradients

torch.set_num_threads(1)


def single(shape: tuple[int, ...], kind: str, **settings: Any) -> tuple[nn.Parameter, MuGrokfast]:
    parameter = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    return parameter, MuGrokfast([{"name": "only", "params": [parameter], "kind": kind}], **settings)


def one_step(net: nn.Module, table: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """How each parameter changes in one step of what ``table`` describes."""
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = build(net, parse(table))
    fill_gradients(net, seed)
    optimizer.step()
    return {name: p.detach() - before[name] for name, p in net.named_parameters()}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-6)])
@pytest.mark.parametrize("gain", [0.0, 0.3])
def test_it_agrees_with_the_slow_twin(dtype: torch.dtype, tolerance: float, gain: float) -> None:
    ours, theirs = SmallNet().to(dtype), SmallNet().to(dtype)
    table = {"lr": 3e-3, "muon_lr": 1e-2, "weight_decay": 0.1, "grokfast_alpha": 0.9, "grokfast_lambda": gain}
    fast = build(ours, parse(table))
    slow = SlowTwin(theirs, lr=3e-3, muon_lr=1e-2, decay=0.1, alpha=0.9, gain=gain)
    for step in range(12 if dtype == torch.float64 else 3):
        fill_gradients(ours, step)
        fill_gradients(theirs, step)
        fast.step()
        slow.step()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=tolerance, msg=name)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from([(8, 8), (3, 9), (9, 3), (1, 7), (7, 1), (1, 1)]),
    kind=st.sampled_from(["muon", "adamw"]),
    gain=st.sampled_from([0.0, 0.3, 2.0]),
)
def test_it_descends_on_a_quadratic_whatever_the_shape(shape: tuple[int, int], kind: str, gain: float) -> None:
    parameter, optimizer = single(
        shape, kind, lr=0.2, muon_lr=0.2, weight_decay=0.0, grokfast_alpha=0.8, grokfast_lambda=gain
    )
    stretch = torch.linspace(0.5, 2.0, parameter.numel()).view(shape)
    losses = []
    for step in range(150):
        for group in optimizer.param_groups:
            group["lr"] = 0.2 * (1 - step / 150)
        optimizer.zero_grad()
        loss = (stretch * parameter.square()).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]


def test_its_other_part_is_torch_adamw() -> None:
    ours, theirs = SmallNet(), SmallNet()
    groups = [{**group, "kind": "adamw"} for group in parameter_groups(ours)]
    mine = MuGrokfast(groups, lr=1e-2, weight_decay=0.1, grokfast_lambda=0.0)
    other = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1)
    for step in range(5):
        fill_gradients(ours, step)
        fill_gradients(theirs, step)
        mine.step()
        other.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-7)


@pytest.mark.parametrize("table", [{}, {"kind": "adamw"}])
def test_no_rate_no_change(table: dict[str, Any]) -> None:
    rates = {"lr": 0.0} if table else {"lr": 0.0, "muon_lr": 0.0}
    assert not any(change.any() for change in one_step(SmallNet(), {**table, **rates}).values())


@settings(max_examples=10, deadline=None, derandomize=True)
@given(group=st.sampled_from(["hidden", "embedding", "scalar"]), factor=st.floats(0.1, 4.0))
def test_a_groups_rate_scales_its_own_update_and_no_other(group: str, factor: float) -> None:
    net = SmallNet()
    names = {id(p): name for name, p in net.named_parameters()}
    inside = {names[id(p)] for each in parameter_groups(net) if each["name"] == group for p in each["params"]}
    plain = one_step(SmallNet().double(), {"lr": 1e-3, "muon_lr": 1e-3})
    scaled = one_step(SmallNet().double(), {"lr": 1e-3, "muon_lr": 1e-3, "group_lr": {group: 1e-3 * factor}})
    for name, change in plain.items():
        wanted = change * factor if name in inside else change
        torch.testing.assert_close(scaled[name], wanted, rtol=0, atol=1e-9)
        assert change.any()


def test_the_rate_is_read_at_every_step() -> None:
    first, second = (single((4, 6), "muon", muon_lr=1e-2, weight_decay=0.0, grokfast_lambda=0.0) for _ in range(2))
    for parameter, optimizer in (first, second):
        parameter.grad = torch.ones(4, 6)
        optimizer.step()
    second[1].param_groups[0]["lr"] = 5e-3
    before = first[0].detach().clone()
    for _, optimizer in (first, second):
        optimizer.step()
    torch.testing.assert_close(second[0] - before, 0.5 * (first[0] - before), rtol=0, atol=5e-7)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_weight_decay_is_decoupled_from_the_gradient(kind: str) -> None:
    moved = {}
    for decay in (0.0, 0.5):
        for scale in (1.0, 100.0):
            parameter, optimizer = single((4, 6), kind, lr=1e-2, muon_lr=1e-2, weight_decay=decay)
            begin = parameter.detach().clone()
            parameter.grad = scale * torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
            optimizer.step()
            moved[decay, scale] = parameter.detach() - begin
    for scale in (1.0, 100.0):
        torch.testing.assert_close(moved[0.5, scale] - moved[0.0, scale], -1e-2 * 0.5 * begin, rtol=0, atol=1e-6)


def test_scalars_are_not_decayed() -> None:
    net = SmallNet()
    optimizer = build(net, parse({"weight_decay": 0.3}))
    assert {group["name"]: group["weight_decay"] for group in optimizer.param_groups} == {
        "hidden": 0.3,
        "embedding": 0.3,
        "scalar": 0.0,
    }


@pytest.mark.parametrize("kind", ["muon", "adamw"])
@pytest.mark.parametrize("gain", [0.0, 0.3])
def test_a_nan_gradient_reaches_the_weights(kind: str, gain: float) -> None:
    parameter, optimizer = single((3, 5), kind, grokfast_lambda=gain)
    parameter.grad = torch.ones(3, 5)
    parameter.grad[1, 2] = float("nan")
    optimizer.step()
    assert parameter[1, 2].isnan()


def test_a_parameter_without_gradient_is_left_alone_and_has_no_state() -> None:
    net = SmallNet()
    optimizer = build(net, parse({"weight_decay": 0.5}))
    fill_gradients(net, 0)
    net.square.weight.grad = None
    before = net.square.weight.detach().clone()
    assert optimizer.step(lambda: 1.5) == 1.5
    assert torch.equal(before, net.square.weight)
    assert net.square.weight not in optimizer.state
    assert set(optimizer.state[net.up.weight]) == {"average", "momentum"}
    assert set(optimizer.state[net.up.bias]) == {"average", "exp_avg", "exp_avg_sq", "step"}
    assert all(isinstance(value, Tensor) for fields in optimizer.state.values() for value in fields.values())


GOOD: dict[str, Any] = {"name": "hidden", "kind": "muon"}


@pytest.mark.parametrize(
    ("group", "settings", "key", "problem"),
    [
        (GOOD | {"kind": "moun"}, {}, "kind", "no such kind 'moun'. Did you mean 'muon'?"),
        ({"name": "hidden"}, {}, "kind", "no such kind None"),
        ({"kind": "muon"}, {}, "group_lr", "expected a name that no other group has, got None"),
        (GOOD, {"muon_lr": -1.0}, "lr", "hidden: lr: expected a finite number of at least 0, got -1"),
        (GOOD, {"muon_lr": float("nan")}, "lr", "got nan"),
        (GOOD, {"weight_decay": float("inf")}, "weight_decay", "got inf"),
        (GOOD, {"momentum": 1.0}, "momentum", "expected at least 0 and less than 1, got 1"),
        (GOOD, {"grokfast_alpha": 1.5}, "grokfast_alpha", "got 1.5"),
        (GOOD, {"grokfast_lambda": -0.3}, "grokfast_lambda", "got -0.3"),
        (GOOD | {"shape": (4,)}, {}, "kind", "Muon updates matrices, got a parameter of shape [4]"),
        (GOOD | {"shape": (4, 2, 3)}, {}, "kind", "Muon updates matrices, got a parameter of shape [4, 2, 3]"),
    ],
)
def test_bad_settings_are_refused(group: dict[str, Any], settings: dict[str, Any], key: str, problem: str) -> None:
    described = {**group}
    parameter = nn.Parameter(torch.zeros(described.pop("shape", (3, 3))))
    with pytest.raises(InputError) as caught:
        MuGrokfast([{**described, "params": [parameter]}], **settings)
    assert caught.value.key == f"run.optimizer.{key}"
    assert problem in str(caught.value)


def test_two_groups_of_one_name_and_sparse_gradients_are_refused() -> None:
    groups = [{"name": "a", "params": [nn.Parameter(torch.zeros(2, 2))], "kind": "adamw"} for _ in range(2)]
    with pytest.raises(InputError, match="expected a name that no other group has, got 'a'"):
        MuGrokfast(groups)
    table = nn.Embedding(3, 2, sparse=True)
    optimizer = MuGrokfast(parameter_groups(table))
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(InputError, match="group 'embedding': expected dense gradients, got a sparse one"):
        optimizer.step()
